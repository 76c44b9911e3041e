<?php
// One product.

declare(strict_types=1);

require __DIR__ . '/shop.php';
require __DIR__ . '/layout.php';

open_visit();
$product = product(field($_GET, 'product_id'));
if (!$product) {
    http_response_code(404);
    page_start('Not found');
    echo '<section class="narrow"><h1>This piece has found a home.</h1><p><a class="button" href="/">Back to the shop</a></p></section>';
    page_end();
    exit;
}
$others = array_filter(GOODS, function (array $other) use ($product): bool {
    return $other['sku'] !== $product['sku'];
});

page_start($product['name']);
?>
<p class="crumbs"><a href="/">Shop</a> / <a href="/?category=<?= e($product['category']) ?>"><?= e(CATEGORIES[$product['category']]) ?></a></p>
<article class="product">
  <figure class="<?= e($product['category']) ?>"><?= art($product['sku']) ?></figure>
  <div>
    <h1><?= e($product['name']) ?></h1>
    <p class="lead"><?= e($product['line']) ?></p>
    <p class="price"><?= e(price($product['cents'])) ?> <small>incl. VAT, free shipping</small></p>
    <form class="buy" method="post" action="/cart.php">
      <input type="hidden" name="action" value="add">
      <input type="hidden" name="sku" value="<?= e($product['sku']) ?>">
      <label>Quantity <input type="number" name="quantity" value="1" min="1" max="<?= CART_MAX ?>" inputmode="numeric"></label>
      <button class="button" data-test="add-to-cart">Add to bag</button>
    </form>
    <p><?= e($product['text']) ?></p>
    <dl class="facts">
<?php foreach ($product['facts'] as $name => $value) { ?>
      <dt><?= e($name) ?></dt><dd><?= e($value) ?></dd>
<?php } ?>
      <dt>Article</dt><dd><?= e($product['sku']) ?></dd>
    </dl>
  </div>
</article>
<section>
  <h2>Goes well with</h2>
  <ul class="cards three">
<?php
foreach (array_slice($others, 0, 3) as $other) {
    product_card($other, false);
}
?>
  </ul>
</section>
<?php
page_end();
