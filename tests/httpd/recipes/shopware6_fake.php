<?php
// As much of Symfony and Shopware as the plugin touches: a dispatcher that knows the subscriber.

declare(strict_types=1);

namespace Symfony\Component\EventDispatcher {
    interface EventSubscriberInterface
    {
        public static function getSubscribedEvents();
    }
}

namespace {
    function fire(string $name, array $arguments): void
    {
        $subscriber = new PinterestCapiShop\Subscriber();
        $method = $subscriber::getSubscribedEvents()[$name];
        $subscriber->$method(new Told($arguments));
    }
}
