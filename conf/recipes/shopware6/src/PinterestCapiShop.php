<?php

declare(strict_types=1);

namespace PinterestCapiShop;

use Shopware\Core\Framework\Plugin;
use Symfony\Component\DependencyInjection\ContainerBuilder;

class PinterestCapiShop extends Plugin
{
    public function build(ContainerBuilder $container): void
    {
        parent::build($container);
        $container->register(Subscriber::class, Subscriber::class)->addTag('kernel.event_subscriber');
    }
}
