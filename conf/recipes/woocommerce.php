<?php
/**
 * Plugin Name: Purchases for mod_pinterest_capi
 * Description: Tells the web server when a WooCommerce order is paid, or placed with an offline payment method.
 *
 * Copy this file and PinterestCapi.php into wp-content/mu-plugins/. Where orders are paid from wp-cron or WP-CLI, say in
 * wp-config.php where the server takes events:
 *     define('PINTEREST_CAPI_ENDPOINT', 'http://127.0.0.1/v5/ad_accounts/<ad account>/events');
 * PHP 7.4 to 8.4.
 */

defined('ABSPATH') || exit;
class_exists('PinterestCapi', false) || require_once __DIR__ . '/PinterestCapi.php';

final class PinterestCapiWooCommerce
{
    /** Their orders are purchases once placed; the money comes later. Filter: pinterest_capi_offline. */
    private const OFFLINE = ['bacs', 'cheque', 'cod'];

    /** Orders that no visitor of the shop's pages made. */
    private const NOT_FROM_A_VISIT = ['admin', 'rest-api', 'pos-rest-api', 'subscription'];

    public static function listen(): void
    {
        add_action('woocommerce_checkout_order_processed', [self::class, 'bind'], 10, 1);
        add_action('woocommerce_store_api_checkout_order_processed', [self::class, 'bind'], 10, 1);
        add_action('woocommerce_order_status_changed', [self::class, 'statusChanged'], 10, 4);
        add_action('woocommerce_created_customer', [self::class, 'customerCreated'], 10, 1);
    }

    /**
     * The browser is still there: later the payment provider knows nothing but the order.
     *
     * @param int|WC_Order $order classic says the id, blocks the order
     */
    public static function bind($order): void
    {
        PinterestCapi::bind('order:' . (is_object($order) ? $order->get_id() : $order));
    }

    /** @param WC_Order $order */
    public static function statusChanged($id, $from, $to, $order): void
    {
        $paid = wc_get_is_paid_statuses();
        $offline = apply_filters('pinterest_capi_offline', self::OFFLINE);
        $isPlaced = $to === 'on-hold' && in_array($order->get_payment_method(), $offline, true);
        if (in_array($from, $paid, true) || (!in_array($to, $paid, true) && !$isPlaced)
            || in_array($order->get_created_via(), self::NOT_FROM_A_VISIT, true)) {
            return;
        }
        PinterestCapi::event(self::purchase((string) $id, $order));
    }

    public static function customerCreated($id): void
    {
        if (!is_admin()) {
            PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $id]);
        }
    }

    /**
     * The same id as the plugin's, whoever calls and however often. The order's context knows the shopper's click, address
     * and browser; an order older than this file brings what it knows itself.
     *
     * @param WC_Order $order
     * @return array<string, mixed>
     */
    private static function purchase(string $id, $order): array
    {
        $contents = [];
        foreach ($order->get_items() as $item) {
            $contents[] = [
                'id' => (string) ($item->get_variation_id() ?: $item->get_product_id()),
                'quantity' => (int) $item->get_quantity(),
                'item_price' => (float) $order->get_item_total($item, true),
            ];
        }
        return [
            'event_name' => 'purchase',
            'event_id' => 'checkout_' . $id,
            'order_id' => $id,
            'context' => 'order:' . $id,
            'event_source_url' => wc_get_checkout_url(),
            'user_data' => array_filter([
                'em' => $order->get_billing_email(), 'ph' => $order->get_billing_phone(),
                'fn' => $order->get_billing_first_name(), 'ln' => $order->get_billing_last_name(),
                'ct' => $order->get_billing_city(), 'st' => $order->get_billing_state(),
                'zp' => $order->get_billing_postcode(), 'country' => $order->get_billing_country(),
            ]),
            'custom_data' => [
                'value' => (string) $order->get_total(), 'currency' => $order->get_currency(),
                'contents' => $contents,
            ],
        ];
    }
}

PinterestCapiWooCommerce::listen();
