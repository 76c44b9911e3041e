<?php
/**
 * Sylius 1.13 and 2.0: tells the web server what went into the cart, which order belongs to which visit, and when it is
 * paid, or placed with an offline payment method.
 *
 * Copy this file to src/EventSubscriber/PinterestCapiSubscriber.php, where services.yaml of Sylius-Standard finds it by
 * itself, and PinterestCapi.php to lib/ (not below src/). Both state machines are heard: Symfony Workflow (2.0) and winzou
 * (1.x). PHP 7.4 to 8.4.
 */

declare(strict_types=1);

namespace App\EventSubscriber;

use Symfony\Component\EventDispatcher\EventSubscriberInterface;

class_exists('PinterestCapi', false) || require_once dirname(__DIR__, 2) . '/lib/PinterestCapi.php';

final class PinterestCapiSubscriber implements EventSubscriberInterface
{
    /** Gateways whose orders are purchases once placed; the money comes later. */
    private const OFFLINE = ['offline'];

    public static function getSubscribedEvents(): array
    {
        return [
            'sylius.cart_item_add' => ['itemAdded', -100],
            'workflow.sylius_order_checkout.completed.complete' => ['workflowPlaced', -100],
            'workflow.sylius_order_payment.completed.pay' => ['workflowPaid', -100],
            'winzou.state_machine.post_transition' => ['winzouMoved', -100],
            'sylius.customer.post_register' => ['registered', -100],
        ];
    }

    public function itemAdded(object $event): void
    {
        $command = $event->getSubject();
        $item = $command->getCartItem();
        \PinterestCapi::event(['event_name' => 'add_to_cart', 'custom_data' => [
            'content_ids' => [(string) $item->getVariant()->getCode()], 'num_items' => $item->getQuantity(),
        ]]);
    }

    public function workflowPlaced(object $event): void
    {
        $this->placed($event->getSubject());
    }

    public function workflowPaid(object $event): void
    {
        $this->paid($event->getSubject());
    }

    public function winzouMoved(object $event): void
    {
        $machine = $event->getStateMachine();
        $move = $machine->getGraph() . ' ' . $event->getTransition();
        if ($move === 'sylius_order_checkout complete') {
            $this->placed($machine->getObject());
        } elseif ($move === 'sylius_order_payment pay') {
            $this->paid($machine->getObject());
        }
    }

    public function registered(object $event): void
    {
        $id = $event->getSubject()->getId();
        \PinterestCapi::event(['event_name' => 'signup', 'event_id' => 'signup_' . $id]);
    }

    /** The browser is still there: later the payment provider knows nothing but the order. */
    private function placed(object $order): void
    {
        \PinterestCapi::bind('order:' . $order->getNumber());
        $payment = $order->getLastPayment();
        $config = $payment && $payment->getMethod() ? $payment->getMethod()->getGatewayConfig() : null;
        if ($config && in_array($config->getFactoryName(), self::OFFLINE, true)) {
            \PinterestCapi::event($this->purchase($order));
        }
    }

    private function paid(object $order): void
    {
        \PinterestCapi::event($this->purchase($order));
    }

    /**
     * The order's context knows the shopper's click, address and browser. Sylius counts money in hundredths, in every
     * currency.
     */
    private function purchase(object $order): array
    {
        $number = (string) $order->getNumber();
        $contents = [];
        foreach ($order->getItems() as $item) {
            $contents[] = [
                'id' => (string) $item->getVariant()->getCode(), 'quantity' => $item->getQuantity(),
                'item_price' => $item->getUnitPrice() / 100,
            ];
        }
        $address = $order->getBillingAddress();
        $province = $address ? (string) $address->getProvinceCode() : '';
        return [
            'event_name' => 'purchase', 'event_id' => 'checkout_' . $number, 'order_id' => $number,
            'context' => 'order:' . $number,
            'user_data' => array_filter([
                'em' => $order->getCustomer() ? $order->getCustomer()->getEmail() : '',
            ] + ($address ? [
                'ph' => $address->getPhoneNumber(), 'fn' => $address->getFirstName(), 'ln' => $address->getLastName(),
                'ct' => $address->getCity(), 'st' => $province, 'zp' => $address->getPostcode(),
                'country' => $address->getCountryCode(),
            ] : [])),
            'custom_data' => [
                'value' => $order->getTotal() / 100, 'currency' => $order->getCurrencyCode(), 'contents' => $contents,
            ],
        ];
    }
}
