<?php
// The goods, and their pictures: drawn, so that the shop needs no files of anybody's.

declare(strict_types=1);

const GOODS = [
    'SKU-481' => [
        'sku' => 'SKU-481', 'name' => 'Alba vase', 'category' => 'ceramics', 'cents' => 8995,
        'line' => 'Stoneware, thrown by hand, matt white',
        'text' => 'A quiet vase with a narrow neck, made for one branch rather than a bunch. Each is thrown on the wheel, '
            . 'dipped in a chalk-white glaze and fired twice, so the rim shows a line of bare clay.',
        'facts' => ['Height' => '28 cm', 'Material' => 'Stoneware', 'Care' => 'Rinse by hand'],
    ],
    'SKU-812' => [
        'sku' => 'SKU-812', 'name' => 'Tide runner', 'category' => 'textiles', 'cents' => 4000,
        'line' => 'Washed linen, 45 × 150 cm',
        'text' => 'A table runner woven from European flax and washed until it falls softly. The stripes are dyed in the yarn '
            . 'and will fade with you, slowly.',
        'facts' => ['Size' => '45 × 150 cm', 'Material' => 'Linen', 'Care' => 'Wash at 40 °C'],
    ],
    'SKU-207' => [
        'sku' => 'SKU-207', 'name' => 'Dusk lamp', 'category' => 'light', 'cents' => 14900,
        'line' => 'Table lamp with a paper shade',
        'text' => 'Warm light for the hour after sunset. The shade is folded from one sheet of washi paper over a turned ash '
            . 'foot; the dimmer sits in the cord.',
        'facts' => ['Height' => '41 cm', 'Material' => 'Ash, washi paper', 'Lamp' => 'E27, included'],
    ],
    'SKU-355' => [
        'sku' => 'SKU-355', 'name' => 'Morning bowls', 'category' => 'ceramics', 'cents' => 3600,
        'line' => 'Set of two, speckled glaze',
        'text' => 'Two bowls that nest: one for porridge, one for berries. The speckles are iron in the clay that comes '
            . 'through the glaze in the kiln.',
        'facts' => ['Width' => '12 and 16 cm', 'Material' => 'Stoneware', 'Care' => 'Dishwasher'],
    ],
    'SKU-640' => [
        'sku' => 'SKU-640', 'name' => 'Beeswax trio', 'category' => 'light', 'cents' => 1850,
        'line' => 'Three candles, about nine hours each',
        'text' => 'Pure beeswax from three keepers north of Berlin, poured around a cotton wick. They smell of honey even '
            . 'before you light them.',
        'facts' => ['Height' => '12, 18, 24 cm', 'Material' => 'Beeswax', 'Burns' => 'Nine hours'],
    ],
    'SKU-903' => [
        'sku' => 'SKU-903', 'name' => 'Moor throw', 'category' => 'textiles', 'cents' => 11900,
        'line' => 'Lambswool, 130 × 180 cm',
        'text' => 'A throw the colours of heather in September. Woven from undyed and dyed lambswool, brushed once, with '
            . 'fringes twisted by hand.',
        'facts' => ['Size' => '130 × 180 cm', 'Material' => 'Lambswool', 'Care' => 'Air, wash rarely'],
    ],
];

function product(string $sku): ?array
{
    return GOODS[$sku] ?? null;
}

/** The product's picture as inline SVG; colours come from the stylesheet, so that they follow light and dark. */
function art(string $sku): string
{
    $shapes = [
        'SKU-481' => '
            <path class="stem" d="M200 148C196 110 178 92 158 70M200 140c2-34 16-52 40-74M200 120c-2-30 2-52 4-76"/>
            <g class="leaf"><ellipse cx="154" cy="66" rx="15" ry="7" transform="rotate(48 154 66)"/>
            <ellipse cx="174" cy="98" rx="14" ry="6" transform="rotate(20 174 98)"/>
            <ellipse cx="242" cy="62" rx="15" ry="7" transform="rotate(-46 242 62)"/>
            <ellipse cx="228" cy="94" rx="13" ry="6" transform="rotate(-14 228 94)"/>
            <ellipse cx="205" cy="40" rx="7" ry="15" transform="rotate(6 205 40)"/></g>
            <path class="pale" d="M184 142h32c2 34 8 44 30 66 22 23 30 47 22 80-6 26-28 40-68 40s-62-14-68-40c-8-33 0-57 22-80 22-22 28-32 30-66z"/>
            <path class="shade" d="M216 142c2 34 8 44 30 66 22 23 30 47 22 80-6 26-28 40-68 40 44-10 60-40 52-76-6-28-34-40-40-68-3-14-2-28-4-42z"/>
            <ellipse class="clay" cx="200" cy="142" rx="16" ry="4"/>',
        'SKU-812' => '
            <path class="wood" d="M40 196h320v16H40zM64 212h14l-8 116H56zM322 212h14l8 116h-14z"/>
            <path class="pale" d="M120 186h160v16l8 112H112l8-112z"/>
            <path class="stripe" d="M136 186h10v14l-5 114h-10l5-114zM154 186h5v14l-3 114h-5l3-114zM254 186h10v14l5 114h-10l-5-114zM241 186h5v14l3 114h-5l-3-114z"/>
            <path class="fringe" d="M116 314v16M126 314v18M136 314v16M146 314v18M156 314v16M166 314v18M176 314v16M186 314v18M196 314v16M206 314v18M216 314v16M226 314v18M236 314v16M246 314v18M256 314v16M266 314v18M276 314v16M284 314v18"/>
            <path class="pale" d="M214 186c-14 0-22-12-22-30h58c0 18-8 30-22 30z"/>
            <circle class="accent" cx="210" cy="148" r="13"/><circle class="clay" cx="231" cy="147" r="12"/>
            <circle class="accent" cx="221" cy="134" r="12"/>',
        'SKU-207' => '
            <circle class="glow" cx="200" cy="146" r="132"/>
            <path class="wood" d="M192 214h16v74h-16zM158 300c0-9 18-14 42-14s42 5 42 14v10c0 5-6 8-12 8h-60c-6 0-12-3-12-8z"/>
            <path class="lamp" d="M152 66h96l44 148H108z"/>
            <path class="fold" d="M168 66l-36 148M184 66l-18 148M200 66v148M216 66l18 148M232 66l36 148"/>
            <path class="cord" d="M240 310c40 6 60-2 92 18"/>',
        'SKU-355' => '
            <path class="shade" d="M76 200h248c-2 62-42 106-88 110h-72c-46-4-86-48-88-110z"/>
            <path class="clay" d="M76 200h248c-2 58-42 98-88 102h-72c-46-4-86-44-88-102z"/>
            <ellipse class="inner" cx="200" cy="200" rx="124" ry="24"/>
            <path class="pale" d="M124 150h152c-2 40-24 68-52 70h-48c-28-2-50-30-52-70z"/>
            <ellipse class="inner" cx="200" cy="150" rx="76" ry="15"/>
            <g class="accent"><circle cx="176" cy="146" r="12"/><circle cx="199" cy="142" r="13"/><circle cx="223" cy="147" r="12"/>
            <circle cx="188" cy="134" r="11"/><circle cx="211" cy="132" r="11"/></g>
            <g class="speck"><circle cx="120" cy="238" r="2"/><circle cx="146" cy="262" r="3"/><circle cx="176" cy="284" r="2"/><circle cx="232" cy="270" r="3"/>
            <circle cx="262" cy="246" r="2"/><circle cx="288" cy="232" r="3"/><circle cx="210" cy="246" r="2"/><circle cx="102" cy="222" r="2"/>
            <circle cx="158" cy="184" r="2"/><circle cx="206" cy="198" r="2"/><circle cx="240" cy="178" r="2"/></g>',
        'SKU-640' => '
            <circle class="glow" cx="136" cy="150" r="46"/><circle class="glow" cx="200" cy="92" r="54"/><circle class="glow" cx="262" cy="196" r="42"/>
            <path class="wax" d="M116 184h40v128h-40zM180 126h40v186h-40zM242 228h40v84h-40z"/>
            <path class="shade" d="M146 184h10v128h-10zM210 126h10v186h-10zM272 228h10v84h-10z"/>
            <path class="flame" d="M136 132c10 14 14 22 14 30a14 14 0 0 1-28 0c0-8 4-16 14-30zM200 70c10 14 14 24 14 32a14 14 0 0 1-28 0c0-8 4-18 14-32zM262 178c9 12 13 20 13 28a13 13 0 0 1-26 0c0-8 4-16 13-28z"/>
            <path class="cord" d="M136 172v12M200 112v14M262 216v12"/>
            <path class="wood" d="M84 312h232c4 0 6 3 4 7l-4 9c-1 3-4 4-7 4H91c-3 0-6-1-7-4l-4-9c-2-4 0-7 4-7z"/>',
        'SKU-903' => '
            <path class="wood" d="M92 92h216v12H92zM98 104h12v226H98zM290 104h12v226h-12z"/>
            <path class="heather" d="M122 82h156c8 0 12 5 12 12v184H110V94c0-7 4-12 12-12z"/>
            <path class="stripe" d="M110 132h180v14H110zM110 154h180v6H110zM110 222h180v14H110zM110 244h180v6H110z"/>
            <path class="stripe" d="M144 82h8v196h-8zM196 82h8v196h-8zM248 82h8v196h-8z" opacity=".55"/>
            <path class="shade" d="M250 82h28c8 0 12 5 12 12v184h-40z"/>
            <path class="fringe heavy" d="M114 278v22M124 278v26M134 278v22M144 278v26M154 278v22M164 278v26M174 278v22M184 278v26M194 278v22M204 278v26M214 278v22M224 278v26M234 278v22M244 278v26M254 278v22M264 278v26M274 278v22M284 278v26"/>',
    ];
    return '<svg class="art" viewBox="0 0 400 360" role="img" aria-label="' . e(GOODS[$sku]['name']) . '">'
        . $shapes[$sku] . '</svg>';
}
