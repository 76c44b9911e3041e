<?php
// The landing page, and with ?category= one collection of it.

declare(strict_types=1);

require __DIR__ . '/shop.php';
require __DIR__ . '/layout.php';

open_visit();
$category = field($_GET, 'category');
$goods = array_filter(GOODS, function (array $product) use ($category): bool {
    return $category === '' || $product['category'] === $category;
});
if ($category !== '' && !isset(CATEGORIES[$category])) {
    http_response_code(404);
}

page_start($category === '' ? 'Things for slow rooms' : CATEGORIES[$category] ?? 'Not found');
if ($category === '') {
    ?>
<section class="hero">
  <div>
    <p class="eyebrow">The autumn collection</p>
    <h1>Things for<br>slow rooms.</h1>
    <p class="lead">Clay, flax, wax and wool, made in small workshops around Berlin. Few pieces, long lives.</p>
    <p><a class="button" href="#goods">See the collection</a></p>
  </div>
  <figure class="ceramics"><?= art('SKU-481') ?></figure>
</section>
    <?php
}
?>
<section id="goods">
  <h2><?= $category === '' ? 'Made this season' : e(CATEGORIES[$category] ?? 'We have nothing of that kind') ?></h2>
  <ul class="cards">
<?php
foreach (array_values($goods) as $index => $product) {
    product_card($product, $index === 0);
}
?>
  </ul>
</section>
<section class="promises">
  <div><h3>Made to be mended</h3><p>Every piece can come back to its maker.</p></div>
  <div><h3>Shipped in straw</h3><p>No plastic, and free from the first cup.</p></div>
  <div><h3>A month to decide</h3><p>Live with it. Send it back if it does not settle.</p></div>
</section>
<?php
page_end();
