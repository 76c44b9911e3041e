/*! mod_pinterest_capi, browser client. Apache-2.0.
 *
 * <script src="/pinterest-capi.js" defer data-tag="2612345678901" data-page></script>
 *
 * data-tag      the Tag's id: the Tag is loaded once consent is granted
 * data-page     tracks this page: a prerendered one when it is shown, an unanswered one on the grant
 * data-collect  the collect endpoint  (/api/tracklayer/pinterest-capi)
 * data-context  the context endpoint  (/api/cart/context)
 * data-names    "guide" or "pinterest": what checkout means
 */
(function () {
  'use strict';
  var script = document.currentScript || { dataset: {} };
  var data = script.dataset;
  var collect = data.collect || '/api/tracklayer/pinterest-capi';
  var context = data.context || '/api/cart/context';
  var guide = data.names !== 'pinterest';
  var names = {
    checkout_complete: 'checkout', purchase: 'checkout', begin_checkout: 'initiate_checkout',
    page_view: 'page_visit', view_item: 'page_visit', view_item_list: 'view_category',
    sign_up: 'signup', generate_lead: 'lead', pagevisit: 'page_visit', addtocart: 'add_to_cart',
    viewcategory: 'view_category', watchvideo: 'watch_video'
  };
  var granted = null; // null: nobody has said
  var waiting = [];   // what is to be told once consent is granted
  var loaded = false;

  function cookie(name) {
    var found = document.cookie.split(/; */).filter(function (pair) {
      return pair.indexOf(name + '=') === 0;
    })[0];
    return found ? found.slice(name.length + 1) : null;
  }

  function epik() {
    var found = /[?&]epik=([\w-]{1,512})(?=[&#]|$)/i.exec(location.search);
    return found ? found[1] : cookie('_epik');
  }

  function sentAs(name) {
    return guide && name === 'checkout' ? 'initiate_checkout' : names[name] || name;
  }

  function mint() {
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    return 'b' + Array.prototype.map.call(bytes, function (byte) {
      return (byte + 256).toString(16).slice(1);
    }).join('');
  }

  // The Tag calls some things otherwise than the Conversions API.
  function forTag(event) {
    var custom = event.custom_data, tag = { event_id: event.event_id };
    ['value', 'currency', 'order_id'].forEach(function (key) {
      if (custom[key] != null) { tag[key] = custom[key]; }
    });
    if (custom.num_items != null) { tag.order_quantity = custom.num_items; }
    if (custom.search_string != null) { tag.search_query = custom.search_string; }
    if (custom.contents || custom.content_ids) {
      tag.line_items = (custom.contents || custom.content_ids).map(function (item) {
        return item.id == null ? { product_id: String(item) } : {
          product_id: String(item.id), product_price: item.item_price,
          product_quantity: item.quantity, product_name: item.item_name,
          product_category: item.item_category, product_brand: item.item_brand
        };
      });
    }
    return tag;
  }

  function load() {
    if (!data.tag || loaded) { return; }
    loaded = true;
    if (!window.pintrk) {
      var queue = window.pintrk = function () { queue.queue.push([].slice.call(arguments)); };
      queue.queue = [];
      queue.version = '3.0';
      var tag = document.createElement('script');
      tag.async = true;
      tag.src = 'https://s.pinimg.com/ct/core.js';
      if (script.nonce) { tag.nonce = script.nonce; }
      document.head.appendChild(tag);
    }
    window.pintrk('setconsent', true);
    window.pintrk('load', data.tag);
  }

  function send(event) {
    var body = JSON.stringify(event);
    if (!(navigator.sendBeacon && navigator.sendBeacon(collect, body))) {
      fetch(collect, { method: 'POST', body: body, keepalive: true, credentials: 'same-origin' })
        .catch(function () {});
    }
  }

  function tell(event) {
    load();
    if (window.pintrk) {
      window.pintrk('track', event.event_name.replace(/_/g, ''), forTag(event));
    }
    send(event);
  }

  function track(name, given) {
    var custom = {}, user = {}, key;
    given = given || {};
    for (key in given) {
      if (key !== 'event_id' && key !== 'user_data') { custom[key] = given[key]; }
    }
    for (key in given.user_data) { user[key] = given.user_data[key]; }
    if (!user.epik && epik()) { user.epik = epik(); }
    var event = {
      event_name: sentAs(name), names: 'pinterest', action_source: 'web',
      event_time: Math.floor(Date.now() / 1000), event_id: given.event_id || mint(),
      event_source_url: location.href, user_data: user, custom_data: custom
    };
    if (granted) { tell(event); } else if (granted === null) { waiting.push(event); }
    return event.event_id;
  }

  function decide(yes) {
    granted = yes;
    if (window.pintrk) { window.pintrk('setconsent', yes); }
    var events = waiting.splice(0);
    if (yes) { events.forEach(tell); }
  }

  function consent(yes) {
    document.cookie = 'pin_consent=v1.' + (yes ? 'g' : 'd') + '.' + Math.floor(Date.now() / 1000) +
      '.client; Path=/; Max-Age=34128000; SameSite=Lax' +
      (location.protocol === 'https:' ? '; Secure' : '');
    // A grant lets the server keep the click id of this page; a denial makes it forget.
    ask().then(function () { decide(!!yes); });
  }

  // What the server decided, and an id that no cache has seen.
  function ask() {
    return fetch(context, { credentials: 'same-origin', cache: 'no-store' }).then(function (answer) {
      return answer.ok ? answer.json() : {};
    }).catch(function () { return {}; });
  }

  function page() {
    ask().then(function (said) {
      if (said.consent === 'granted' && granted === null) { decide(true); }
      if ('page' in data) { track('page_visit', { event_id: said.event_id }); }
    });
  }

  window.pinterestCapi = { track: track, consent: consent, epik: epik };
  window.addEventListener('pageshow', function (shown) {
    if (shown.persisted) { page(); }
  });
  if (document.prerendering) {
    document.addEventListener('prerenderingchange', page, { once: true });
  } else {
    page();
  }
})();
