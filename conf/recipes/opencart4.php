<?php
/**
 * OpenCart 4: tells the web server which order belongs to which visit, and when it is paid, or placed with an offline
 * payment method.
 *
 * Copy this file to catalog/controller/event/pinterest_capi.php and PinterestCapi.php beside it, then once in the shop's
 * database (DB_PREFIX is oc_ unless you chose another):
 *
 *     INSERT INTO oc_event (`code`, `description`, `trigger`, `action`, `status`, `sort_order`) VALUES
 *     ('pinterest_capi', '', 'catalog/model/checkout/order.addOrder/after', 'event/pinterest_capi.placed', 1, 0),
 *     ('pinterest_capi', '', 'catalog/model/checkout/order.addHistory/before', 'event/pinterest_capi.statusChanges', 1, 0),
 *     ('pinterest_capi', '', 'catalog/model/account/customer.addCustomer/after', 'event/pinterest_capi.customerAdded', 1, 0);
 *
 * PHP 7.4 to 8.4.
 */

namespace Opencart\Catalog\Controller\Event;

class_exists('PinterestCapi', false) || require_once __DIR__ . '/PinterestCapi.php';

class PinterestCapi extends \Opencart\System\Engine\Controller
{
    /** Their orders are purchases once placed; the money comes later. */
    private const OFFLINE = ['cod', 'bank_transfer', 'cheque', 'free_checkout'];

    /** The order's row is made while the shopper looks at the last step; it is no order yet. */
    public function placed(&$route, &$args, &$output): void
    {
        if ($output && !$this->isByStaff()) {
            \PinterestCapi::bind('order:' . $output);
        }
    }

    /** The shop's own settings say which statuses are accepted orders: a declined one is in neither list. */
    public function statusChanges(&$route, &$args): void
    {
        $this->load->model('checkout/order');
        $order = $this->model_checkout_order->getOrder((int)$args[0]);
        if (!$order) {
            return;
        }
        $accepted = array_merge((array)$this->config->get('config_processing_status'),
            (array)$this->config->get('config_complete_status'));
        $was = (int)$order['order_status_id'];
        $becomes = (int)($args[1] ?? 0);
        $isPlaced = $was === 0 && $becomes !== 0 && in_array(strtok((string)($order['payment_method']['code'] ?? ''), '.'), self::OFFLINE, true);
        if (in_array($was, $accepted) || (!in_array($becomes, $accepted) && !$isPlaced)
            || ($was === 0 && $this->isByStaff())) {
            return;
        }
        \PinterestCapi::event($this->purchase($order));
    }

    public function customerAdded(&$route, &$args, &$output): void
    {
        if ($output && !$this->isByStaff()) {
            \PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $output]);
        }
    }

    /** Staff work through the shop's API: an order made there has no visit. */
    private function isByStaff(): bool
    {
        return strncmp((string)($this->request->get['route'] ?? ''), 'api/', 4) === 0;
    }

    /** The order's context knows the shopper's click, address and browser, also when a payment provider calls. */
    private function purchase(array $order): array
    {
        $id = (string)$order['order_id'];
        $contents = [];
        foreach ($this->model_checkout_order->getProducts((int)$id) as $product) {
            $contents[] = [
                'id' => (string)$product['product_id'], 'quantity' => (int)$product['quantity'],
                'item_price' => round(($product['price'] + $product['tax']) * $order['currency_value'], 2),
            ];
        }
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $id, 'order_id' => $id,
            'context' => 'order:' . $id,
            'user_data' => array_filter([
                'em' => $order['email'], 'ph' => $order['telephone'],
                'fn' => $order['firstname'], 'ln' => $order['lastname'],
                'ct' => $order['payment_city'] ?: $order['shipping_city'],
                'st' => $order['payment_zone_code'] ?: $order['shipping_zone_code'],
                'zp' => $order['payment_postcode'] ?: $order['shipping_postcode'],
                'country' => $order['payment_iso_code_2'] ?: $order['shipping_iso_code_2'],
            ]),
            'custom_data' => [
                'value' => round($order['total'] * $order['currency_value'], 4),
                'currency' => $order['currency_code'], 'contents' => $contents,
            ],
        ];
    }
}
