<?php
/**
 * Shopware 6: tells the web server what went into the cart, which order belongs to which visit, and when it is paid, or placed
 * with an offline payment method. PHP 7.4 to 8.4.
 */

declare(strict_types=1);

namespace PinterestCapiShop;

use Shopware\Core\Checkout\Cart\Event\AfterLineItemAddedEvent;
use Symfony\Component\EventDispatcher\EventSubscriberInterface;

class_exists('PinterestCapi', false) || require_once dirname(__DIR__) . '/PinterestCapi.php';

final class Subscriber implements EventSubscriberInterface
{
    /** Shopware's own payment handlers that take no money: their orders are purchases once placed. */
    private const OFFLINE = ['CashPayment', 'DebitPayment', 'InvoicePayment', 'PrePayment', 'DefaultPayment'];

    public static function getSubscribedEvents(): array
    {
        return [
            AfterLineItemAddedEvent::class => 'itemAdded',
            'checkout.customer.register' => 'registered',
            'checkout.order.placed' => 'placed',
            'state_enter.order_transaction.state.paid' => 'paid',
            'state_enter.order_transaction.state.authorized' => 'paid',
        ];
    }

    /** Shopware says so of a refused product as well, which the calculated cart does not have. */
    public function itemAdded(object $event): void
    {
        $contents = [];
        foreach ($event->getLineItems() as $added) {
            $item = $event->getCart()->get($added->getId());
            if ($item && $item->getType() === 'product') {
                $price = $item->getPrice();
                $contents[] = array_filter([
                    'id' => (string) ($item->getPayloadValue('productNumber') ?: $item->getReferencedId()),
                    'quantity' => $added->getQuantity(), 'item_price' => $price ? $price->getUnitPrice() : null,
                ]);
            }
        }
        if ($contents) {
            $currency = $event->getSalesChannelContext()->getCurrency()->getIsoCode();
            \PinterestCapi::event(['event_name' => 'add_to_cart',
                'custom_data' => ['contents' => $contents, 'currency' => $currency]]);
        }
    }

    public function registered(object $event): void
    {
        $id = $event->getCustomer()->getId();
        \PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $id]);
    }

    /** The browser is still there: later the payment provider knows nothing but the order. */
    public function placed(object $event): void
    {
        $order = $event->getOrder();
        \PinterestCapi::bind('order:' . $order->getOrderNumber());
        $transaction = $order->getTransactions() ? $order->getTransactions()->last() : null;
        $method = $transaction ? $transaction->getPaymentMethod() : null;
        $handler = $method ? (string) $method->getHandlerIdentifier() : '';
        $name = preg_replace('/^Shopware\\\\Core\\\\Checkout\\\\Payment\\\\Cart\\\\PaymentHandler\\\\/', '', $handler);
        if ($name !== $handler && in_array($name, self::OFFLINE, true)) {
            \PinterestCapi::event($this->purchase($order));
        }
    }

    public function paid(object $event): void
    {
        \PinterestCapi::event($this->purchase($event->getOrder()));
    }

    /** The order's context knows the shopper's click, address and browser. */
    private function purchase(object $order): array
    {
        $number = (string) $order->getOrderNumber();
        $contents = [];
        foreach ($order->getLineItems() ?: [] as $item) {
            if ($item->getType() === 'product') {
                $payload = $item->getPayload() ?: [];
                $contents[] = [
                    'id' => (string) ($payload['productNumber'] ?? $item->getReferencedId()),
                    'quantity' => $item->getQuantity(), 'item_price' => $item->getUnitPrice(),
                ];
            }
        }
        $currency = $order->getCurrency();
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $number, 'order_id' => $number,
            'context' => 'order:' . $number,
            'user_data' => $this->person($order),
            'custom_data' => [
                'value' => $order->getAmountTotal(), 'currency' => $currency ? $currency->getIsoCode() : null,
                'contents' => $contents,
            ],
        ];
    }

    private function person(object $order): array
    {
        $customer = $order->getOrderCustomer();
        $address = $order->getBillingAddress();
        if (!$address && $order->getAddresses()) {
            $address = $order->getAddresses()->get($order->getBillingAddressId());
        }
        $country = $address ? $address->getCountry() : null;
        $state = $address ? $address->getCountryState() : null;
        return array_filter(['em' => $customer ? $customer->getEmail() : ''] + ($address ? [
            'ph' => $address->getPhoneNumber(), 'fn' => $address->getFirstName(), 'ln' => $address->getLastName(),
            'ct' => $address->getCity(), 'st' => $state ? $state->getShortCode() : '', 'zp' => $address->getZipcode(),
            'country' => $country ? $country->getIso() : '',
        ] : []));
    }
}
