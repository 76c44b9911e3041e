<?php
/**
 * Magento 2: tells the web server which order belongs to which visit, and when it is paid, or placed with an offline payment
 * method. PHP 7.4 to 8.4.
 */

declare(strict_types=1);

namespace PinterestCapi\Shop\Observer;

use Magento\Framework\Event\Observer;
use Magento\Framework\Event\ObserverInterface;

class_exists('PinterestCapi', false) || require_once dirname(__DIR__) . '/PinterestCapi.php';

class Shop implements ObserverInterface
{
    /** What Magento calls an order that is paid or authorised; a declined one stays where it was or is cancelled. */
    private const PAID = ['processing', 'complete'];

    public function execute(Observer $observer): void
    {
        $event = $observer->getEvent();
        switch ($event->getName()) {
            case 'checkout_submit_all_after':
                foreach ($event->getOrders() ?: [$event->getOrder()] as $order) {
                    $this->placed($order);
                }
                break;
            case 'sales_order_save_commit_after':
                $this->saved($event->getOrder());
                break;
            case 'customer_register_success':
                $id = $event->getCustomer()->getId();
                \PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $id]);
                break;
        }
    }

    /** The browser is still there: later the payment provider knows nothing but the order. */
    private function placed($order): void
    {
        if (!$order || !$this->isOfAVisit($order)) {
            return;
        }
        \PinterestCapi::bind('order:' . $order->getIncrementId());
        if ($order->getState() === 'new' && $order->getPayment()->getMethodInstance()->isOffline()) {
            \PinterestCapi::event($this->purchase($order));
        }
    }

    private function saved($order): void
    {
        if ($order && $this->isOfAVisit($order) && in_array($order->getState(), self::PAID, true)
            && !in_array($order->getOrigData('state'), self::PAID, true)) {
            \PinterestCapi::event($this->purchase($order));
        }
    }

    /** Orders that staff make for somebody have no address of a shopper. */
    private function isOfAVisit($order): bool
    {
        return (string) $order->getRemoteIp() !== '';
    }

    /** The order's context knows the shopper's click, address and browser. */
    private function purchase($order): array
    {
        $number = (string) $order->getIncrementId();
        $contents = [];
        foreach ($order->getAllVisibleItems() as $item) {
            $contents[] = [
                'id' => (string) $item->getProductId(), 'quantity' => (int) $item->getQtyOrdered(),
                'item_price' => (float) $item->getPriceInclTax(),
            ];
        }
        $address = $order->getBillingAddress();
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $number, 'order_id' => $number,
            'context' => 'order:' . $number,
            'user_data' => array_filter(['em' => $order->getCustomerEmail()] + ($address ? [
                'ph' => $address->getTelephone(), 'fn' => $address->getFirstname(), 'ln' => $address->getLastname(),
                'ct' => $address->getCity(), 'st' => $address->getRegionCode(), 'zp' => $address->getPostcode(),
                'country' => $address->getCountryId(),
            ] : [])),
            'custom_data' => [
                'value' => (string) $order->getGrandTotal(), 'currency' => $order->getOrderCurrencyCode(),
                'contents' => $contents,
            ],
        ];
    }
}
