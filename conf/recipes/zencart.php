<?php
/**
 * Zen Cart 1.5.8 to 2.2: tells the web server when an order is made. Zen Cart makes it once the payment module has taken the
 * money, or at once for an offline payment method; a declined payment goes back to the payment page and makes none.
 *
 * Copy this file to includes/classes/observers/auto.pinterest_capi.php and PinterestCapi.php to includes/classes/.
 * PHP 7.4 to 8.4.
 */

class_exists('PinterestCapi', false) || require_once dirname(__DIR__) . '/PinterestCapi.php';

class zcObserverPinterestCapi extends base
{
    /** Statuses of orders that a payment module made although the money is not there: none in Zen Cart's own modules. */
    private const UNPAID = [];

    public function __construct()
    {
        $this->attach($this, ['NOTIFY_CHECKOUT_PROCESS_AFTER_ORDER_CREATE_ADD_PRODUCTS']);
    }

    /** In the shopper's request; in PayPal's notification the order is nobody's visit and goes with what it says itself. */
    public function update(&$class, $eventID, $id = 0, &$order = null)
    {
        $order = is_object($order) ? $order : ($GLOBALS['order'] ?? null);
        if (!$id || !is_object($order) || in_array((int)($order->info['order_status'] ?? 0), self::UNPAID, true)) {
            return;
        }
        $id = (string)$id;
        if (basename($_SERVER['SCRIPT_NAME'] ?? '') === 'index.php') {
            PinterestCapi::bind('order:' . $id);
        }
        PinterestCapi::event($this->purchase($id, $order));
    }

    private function purchase($id, $order)
    {
        $rate = (float)($order->info['currency_value'] ?? 1) ?: 1.0;
        $contents = [];
        foreach ($order->products as $product) {
            $contents[] = [
                'id' => (string)(int)$product['id'], 'quantity' => (int)$product['qty'],
                'item_price' => round($product['final_price'] * (1 + ($product['tax'] ?? 0) / 100) * $rate, 2),
            ];
        }
        $address = $order->billing;
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $id, 'order_id' => $id,
            'context' => 'order:' . $id,
            'user_data' => array_filter([
                'em' => $order->customer['email_address'] ?? '', 'ph' => $order->customer['telephone'] ?? '',
                'fn' => $address['firstname'] ?? '', 'ln' => $address['lastname'] ?? '',
                'ct' => $address['city'] ?? '', 'zp' => $address['postcode'] ?? '',
                'country' => $address['country']['iso_code_2'] ?? '',
            ]),
            'custom_data' => [
                'value' => round($order->info['total'] * $rate, 4), 'currency' => $order->info['currency'],
                'contents' => $contents,
            ],
        ];
    }
}
