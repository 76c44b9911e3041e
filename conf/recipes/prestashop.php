<?php
/**
 * PrestaShop 1.7 and 8: tells the web server which cart and order belong to which visit, when a checkout begins, and when
 * an order is paid, or placed with an offline payment method.
 *
 * Copy this file to modules/pinterestcapishop/pinterestcapishop.php and PinterestCapi.php beside it, then install the
 * module "Purchases for mod_pinterest_capi". PHP 7.4 to 8.4.
 */

if (!defined('_PS_VERSION_')) {
    exit;
}
class_exists('PinterestCapi', false) || require_once __DIR__ . '/PinterestCapi.php';

class PinterestCapiShop extends Module
{
    /** Their orders are purchases once placed; the money comes later. */
    private const OFFLINE = ['ps_wirepayment', 'ps_checkpayment', 'ps_cashondelivery'];

    private const HOOKS = ['actionCartSave', 'actionFrontControllerSetMedia', 'actionValidateOrder',
        'actionOrderStatusUpdate', 'actionCustomerAccountAdd'];

    public function __construct()
    {
        $this->name = 'pinterestcapishop';
        $this->tab = 'analytics_stats';
        $this->version = '1.0.0';
        $this->author = 'mod_pinterest_capi';
        $this->need_instance = 0;
        parent::__construct();
        $this->displayName = 'Purchases for mod_pinterest_capi';
        $this->description = 'Tells the web server when an order is paid.';
    }

    public function install()
    {
        return parent::install() && $this->registerHook(self::HOOKS);
    }

    /** Payment modules often make the order in the provider's call: the cart is what the shopper has named before. */
    public function hookActionCartSave($params)
    {
        $page = $this->context->controller->php_self ?? '';
        $cart = $params['cart'] ?? $this->context->cart;
        if (in_array($page, ['cart', 'order'], true) && !empty($cart->id)) {
            PinterestCapi::bind('cart:' . $cart->id);
        }
    }

    /** The first look at the checkout; later ones have the same id. */
    public function hookActionFrontControllerSetMedia($params)
    {
        $cart = $this->context->cart;
        if (($this->context->controller->php_self ?? '') !== 'order' || empty($cart->id)
            || ($_SERVER['REQUEST_METHOD'] ?? '') !== 'GET' || $cart->nbProducts() < 1) {
            return;
        }
        PinterestCapi::bind('cart:' . $cart->id);
        PinterestCapi::event([
            'event_name' => 'initiate_checkout', 'event_id' => 'start_' . $cart->id,
            'custom_data' => [
                'value' => (string) $cart->getOrderTotal(true), 'currency' => $this->context->currency->iso_code,
            ],
        ]);
    }

    public function hookActionValidateOrder($params)
    {
        $order = $params['order'];
        if (in_array($order->module, self::OFFLINE, true) && $this->isOfAVisit()) {
            PinterestCapi::event($this->purchase($order));
        }
    }

    /** From a status that is not paid to one that is; a declined payment has a status that never is. */
    public function hookActionOrderStatusUpdate($params)
    {
        $order = new Order((int) $params['id_order']);
        $was = new OrderState((int) $order->current_state);
        $isNew = !$order->current_state;
        if (empty($params['newOrderStatus']->paid) || $was->paid || ($isNew && !$this->isOfAVisit())) {
            return;
        }
        PinterestCapi::event($this->purchase($order));
    }

    public function hookActionCustomerAccountAdd($params)
    {
        $customer = $params['newCustomer'];
        if (empty($customer->is_guest)) {
            PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $customer->id]);
        }
    }

    /** Orders that staff make for somebody have no visit. */
    private function isOfAVisit()
    {
        return !defined('_PS_ADMIN_DIR_');
    }

    /** The cart's context knows the shopper's click, address and browser. */
    private function purchase($order)
    {
        $id = (string) $order->id;
        $customer = new Customer((int) $order->id_customer);
        $address = new Address((int) $order->id_address_invoice);
        $state = $address->id_state ? new State((int) $address->id_state) : null;
        $contents = [];
        foreach ($order->getProducts() as $product) {
            $contents[] = [
                'id' => (string) $product['product_id'], 'quantity' => (int) $product['product_quantity'],
                'item_price' => (float) $product['unit_price_tax_incl'],
            ];
        }
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $id, 'order_id' => $id,
            'context' => 'cart:' . $order->id_cart,
            'user_data' => array_filter([
                'em' => $customer->email, 'ph' => $address->phone_mobile ?: $address->phone,
                'fn' => $address->firstname, 'ln' => $address->lastname, 'ct' => $address->city,
                'st' => $state ? $state->iso_code : '', 'zp' => $address->postcode,
                'country' => Country::getIsoById((int) $address->id_country),
            ]),
            'custom_data' => [
                'value' => (string) $order->total_paid_tax_incl,
                'currency' => (new Currency((int) $order->id_currency))->iso_code, 'contents' => $contents,
            ],
        ];
    }
}
