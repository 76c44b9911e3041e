<?php
// As much of Magento as the module touches: the observer that its events.xml names for the event.

declare(strict_types=1);

namespace Magento\Framework\Event {
    interface ObserverInterface
    {
        public function execute(Observer $observer): void;
    }

    final class Observer
    {
        private $event;

        public function __construct(\Told $event)
        {
            $this->event = $event;
        }

        public function getEvent(): \Told
        {
            return $this->event;
        }
    }
}

namespace {
    function fire(string $name, array $arguments): void
    {
        $file = current(preg_grep('#/magento2/Observer/#', get_included_files()));
        preg_match('#<event name="' . $name . '">\s*<observer [^>]*instance="([^"]+)"#',
            file_get_contents(dirname($file, 2) . '/etc/events.xml'), $found);
        foreach (array_slice($found, 1) as $class) {
            (new $class())->execute(new Magento\Framework\Event\Observer(new Told($arguments + ['name' => $name])));
        }
    }
}
