<?php
// As much of Zen Cart as the recipe touches: observers that attach themselves, told by the notifier's rule for names.

declare(strict_types=1);

class base
{
    public static $observers = [];

    public function attach($observer, array $events): void
    {
        foreach ($events as $event) {
            self::$observers[$event][] = $observer;
        }
    }
}

function fire(string $name, array $arguments): void
{
    new zcObserverPinterestCapi();
    [$id, $order] = $arguments;
    $order = (object) $order;
    foreach (base::$observers[$name] ?? [] as $observer) {
        $observer->update($observer, $name, $id, $order);
    }
}
