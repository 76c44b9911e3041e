<?php
// The frame around every page.

declare(strict_types=1);

function page_start(string $title): void
{
    header('Content-Type: text/html; charset=utf-8');
    header("Content-Security-Policy: default-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'");
    header('X-Content-Type-Options: nosniff');
    $count = cart_count();
    ?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title><?= e($title) ?> · Lehm &amp; Licht</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Ccircle cx='16' cy='16' r='15' fill='%23b4532f'/%3E%3Cpath d='M13 8h6c0 6 5 7 5 12s-4 5-8 5-8 0-8-5 5-6 5-12z' fill='%23fbf7f1'/%3E%3C/svg%3E">
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header class="top">
  <a class="brand" href="/">Lehm <span>&amp;</span> Licht</a>
  <nav aria-label="Collections">
<?php foreach (CATEGORIES as $key => $label) { ?>
    <a href="/?category=<?= e($key) ?>"><?= e($label) ?></a>
<?php } ?>
  </nav>
  <a class="bag" href="/cart.php" aria-label="Bag, <?= $count ?> items">Bag <b><?= $count ?></b></a>
</header>
<main id="main">
    <?php
}

function page_end(): void
{
    $epik = $_SERVER['PINTEREST_EPIK'] ?? '';
    ?>
</main>
<footer class="foot">
  <div>
    <p class="brand">Lehm <span>&amp;</span> Licht</p>
    <p>A demo shop. Nothing is sold here and nothing is shipped; no payment is taken.</p>
  </div>
  <details>
    <summary>What the server knows about this visit</summary>
    <dl>
      <dt>Pinterest click id</dt>
      <dd><?= $epik === '' ? 'none: open <a href="/?epik=' . e(SAMPLE_EPIK) . '">a paid landing page</a>' : '<code>' . e($epik) . '</code>' ?></dd>
      <dt>Consent</dt><dd><?= e($_SERVER['PINTEREST_CONSENT'] ?? 'the module is off here') ?></dd>
      <dt>This page’s event id</dt><dd><code><?= e($_SERVER['PINTEREST_EVENT_ID'] ?? 'none') ?></code></dd>
    </dl>
    <p><a href="/pinterest-capi/">What was delivered to Pinterest</a></p>
  </details>
</footer>
</body>
</html>
    <?php
}

const SAMPLE_EPIK = 'dj0yJnU9b2JDcFFHekV4SHJNcmVrbFBkUEdqakh0akdUT1VjVVUmcD0yJm49cnNBQ3F2Q2dOVDBXWWhkWklrUGxBUSZ0PUFBQUFBR1BaY3Bv';

/** A product as it stands in a list. `$test` names the first one for browser tests. */
function product_card(array $product, bool $first): void
{
    ?>
<li class="card <?= e($product['category']) ?>">
  <a href="/product.php?product_id=<?= e($product['sku']) ?>"<?= $first ? ' data-test="product"' : '' ?>>
    <figure><?= art($product['sku']) ?></figure>
    <h3><?= e($product['name']) ?></h3>
    <p><?= e($product['line']) ?></p>
    <p class="price"><?= e(price($product['cents'])) ?></p>
  </a>
</li>
    <?php
}

/** The lines of a cart or an order, with their sum. */
function summary(array $lines): void
{
    ?>
<ul class="lines">
    <?php foreach ($lines as $line) { ?>
  <li><span><?= e($line['quantity']) ?> × <?= e($line['product']['name']) ?></span> <span><?= e(price($line['cents'])) ?></span></li>
    <?php } ?>
  <li><span>Shipping</span> <span>free</span></li>
  <li class="sum"><span>Total</span> <span><?= e(price(array_sum(array_column($lines, 'cents')))) ?></span></li>
</ul>
    <?php
}
