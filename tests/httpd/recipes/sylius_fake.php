<?php
// As much of Symfony and Sylius as the recipe touches: a dispatcher that knows the subscriber.

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
        $subscriber = new App\EventSubscriber\PinterestCapiSubscriber();
        $method = $subscriber::getSubscribedEvents()[$name][0];
        $subscriber->$method(new Told($arguments));
    }
}
