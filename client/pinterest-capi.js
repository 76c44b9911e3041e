/*! mod_pinterest_capi, browser client. Apache-2.0.
 *
 * <script src="/pinterest-capi.js" defer data-tag="2612345678901" data-page></script>
 *
 * data-tag      the Tag's id: the Tag is loaded once consent is granted
 * data-page     tracks this page: a prerendered one once shown, an unanswered one on the grant
 * data-collect  the collect endpoint  (/api/tracklayer/pinterest-capi)
 * data-context  the context endpoint  (/api/cart/context)
 * data-names    "guide" or "pinterest": what checkout means
 *
 * pinterestCapi.track('add_to_cart', { value: 49.95, currency: 'EUR', content_ids: ['SKU-481'] })
 * pinterestCapi.consent(true|false)   the visitor's answer
 * pinterestCapi.consent()             the visitor has answered: the server reads how
 */
(function () {
  'use strict';
  if (window.pinterestCapi) { return; }
  var script = document.currentScript || { dataset: {} };
  var data = script.dataset;
  var collect = data.collect || '/api/tracklayer/pinterest-capi';
  var context = data.context || '/api/cart/context';
  var vocabulary = data.names === 'pinterest' ? 'pinterest' : 'guide';
  var landing = location.href; // its click id counts, whatever the page does to its URL later
  var standard = 'add_payment_info add_to_cart add_to_wishlist app_install app_open checkout ' +
    'contact custom customize_product find_location initiate_checkout lead page_visit schedule ' +
    'search signup start_trial submit_application subscribe view_category view_content watch_video';
  var aliases = {
    checkout_complete: 'checkout', purchase: 'checkout', begin_checkout: 'initiate_checkout',
    page_view: 'page_visit', view_item: 'page_visit', view_item_list: 'view_category',
    sign_up: 'signup', generate_lead: 'lead', pagevisit: 'page_visit', addtocart: 'add_to_cart',
    viewcategory: 'view_category', watchvideo: 'watch_video'
  };

  // undefined: the server has not been heard. null: nobody has granted, a grant may come.
  // false: refused on this page.
  var granted;
  var onDenied;      // what the server does with a denied event, where it does not withhold it
  var waiting = [];  // events until the decision is known
  var turn = 0;      // the question whose answer counts
  var words = 0;     // how often the visitor's answer was told
  var isLeaving = false;
  var isLoaded = false;
  var isLimited = false;

  function cookie(name) {
    var found = document.cookie.split(/; */).filter(function (pair) {
      return pair.indexOf(name + '=') === 0;
    })[0];
    return found ? found.slice(name.length + 1) : '';
  }

  function epik() {
    var url = /[?&]epik=([\w-]{1,512})(?=[&#]|$)/i;
    var found = url.exec(location.href) || url.exec(landing) ||
      /^([\w-]{1,512})$/.exec(cookie('_epik'));
    return found ? found[1] : null;
  }

  function mint() {
    return 'b' + [].map.call(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
      return (byte + 256).toString(16).slice(1);
    }).join('');
  }

  // --- the Tag, which calls some things otherwise than the Conversions API ---

  function tagName(name) {
    if (vocabulary === 'guide' && name === 'checkout') { name = 'initiate_checkout'; }
    if (Object.prototype.hasOwnProperty.call(aliases, name)) { name = aliases[name]; }
    return (' ' + standard + ' ').indexOf(' ' + name + ' ') < 0 ? name : name.replace(/_/g, '');
  }

  function tagData(event) {
    var custom = event.custom_data;
    var tag = {
      event_id: event.event_id, value: custom.value, currency: custom.currency,
      order_id: custom.order_id, order_quantity: custom.num_items,
      search_query: custom.search_string
    };
    if (custom.contents || custom.content_ids) {
      tag.line_items = [].concat(custom.contents || custom.content_ids).map(function (item) {
        return Object(item) !== item ? { product_id: String(item) } : {
          product_id: String(item.id), product_price: item.item_price,
          product_quantity: item.quantity, product_name: item.item_name,
          product_category: item.item_category, product_brand: item.item_brand
        };
      });
    }
    return JSON.parse(JSON.stringify(tag)); // without what is undefined
  }

  function makeTag() {
    var queue = window.pintrk = function () { queue.queue.push([].slice.call(arguments)); };
    queue.queue = [];
    queue.version = '3.0';
    var tag = document.createElement('script');
    tag.async = true;
    tag.src = 'https://s.pinimg.com/ct/core.js';
    if (script.nonce) { tag.nonce = script.nonce; }
    document.head.appendChild(tag);
  }

  function tellTag() {
    if (granted && data.tag && !window.pintrk) { makeTag(); }
    if (!window.pintrk) { return; }
    window.pintrk('setconsent', !!granted);
    if (isLimited !== (!granted && onDenied === 'limited')) {
      isLimited = !isLimited;
      window.pintrk('set', { opt_out_type: isLimited ? 'LDP' : '' });
    }
    if (granted && data.tag && !isLoaded) {
      isLoaded = true;
      window.pintrk('load', data.tag);
    }
  }

  // --- events ---

  // A beacon outlives the page. What it cannot take goes as a request that tries to.
  function send(event) {
    var body = JSON.stringify(event);
    if (!navigator.sendBeacon || !navigator.sendBeacon(collect, body)) {
      fetch(collect, {
        method: 'POST', body: body, credentials: 'include', keepalive: body.length < 6e4
      }).catch(function () {});
    }
  }

  function tell(event) {
    if (granted && window.pintrk) {
      window.pintrk('track', tagName(event.event_name), tagData(event));
    }
    send(event);
  }

  function flush() {
    if (granted || onDenied) {
      waiting.splice(0).forEach(tell);
    } else if (granted === false) {
      waiting = [];
    } else if (isLeaving && granted === undefined && !document.prerendering) {
      waiting.splice(0).forEach(send); // the server decides, as it does for every event
    }
  }

  function make(name, given) {
    var user = Object.assign({}, given.user_data);
    var custom = Object.assign({}, given, given.custom_data);
    ['event_id', 'user_data', 'custom_data'].forEach(function (key) { delete custom[key]; });
    if (epik() && !user.click_id) { user.epik = user.epik || epik(); }
    return {
      event_name: name, names: vocabulary, action_source: 'web',
      event_time: Math.floor(Date.now() / 1000), event_id: given.event_id || mint(),
      event_source_url: location.href, user_data: user, custom_data: custom
    };
  }

  function track(name, given) {
    var event = make(name, given || {});
    if (name === 'checkout' && vocabulary === 'guide' && event.custom_data.order_id) {
      console.error('pinterestCapi: checkout with an order_id: say purchase or initiate_checkout');
      return event.event_id;
    }
    waiting.push(event);
    flush();
    return event.event_id;
  }

  // --- the decision, which is the server's: Tag and API follow the same one ---

  function write(yes) {
    var secure = location.protocol === 'https:' ? '; Secure' : '';
    document.cookie = 'pin_consent=v1.' + (yes ? 'g.' : 'd.') + Math.floor(Date.now() / 1000) +
      '.client; Path=/; Max-Age=34128000; SameSite=Lax' + secure;
  }

  function forgetClick() {
    var host = location.hostname.split('.');
    document.cookie = '_epik=; Path=/; Max-Age=0';
    for (; host.length > 1; host.shift()) {
      document.cookie = '_epik=; Path=/; Max-Age=0; Domain=' + host.join('.');
    }
  }

  function decide(state) {
    if (state === false || (granted && state === null)) { forgetClick(); }
    var isNews = granted !== state;
    granted = state;
    if (isNews && state !== undefined) { tellTag(); }
    flush();
  }

  // `word` is what the visitor just answered. A refusal counts whatever the server says; a grant
  // does where it says nothing. The landing page's URL shows the server the click id.
  function ask(word, how, visit) {
    var mine = ++turn;
    return fetch(context, Object.assign({
      credentials: 'include', cache: 'no-store', keepalive: true,
      referrer: landing, referrerPolicy: 'same-origin'
    }, how)).then(function (answer) {
      return answer.ok ? answer.json() : {};
    }).catch(function () { return {}; }).then(function (said) {
      if (visit && said.event_id) { visit.event_id = said.event_id; }
      if (mine !== turn) { return; }
      onDenied = said.on_denied;
      decide(word === false ? false : said.consent ? said.consent === 'granted' || null : word);
    });
  }

  // The page may come from a cache; the id of its event never does.
  function page() {
    var visit = 'page' in data ? make('page_visit', {}) : null;
    if (visit) { waiting.push(visit); }
    return ask(undefined, {}, visit);
  }

  // Consent managers call this on every page: the same word again keeps its date. The server hears
  // of it after the page's own question, and remembers it for what still waits there.
  function consent(word) {
    var yes = word === undefined ? word : !!word, mine = ++words;
    if (yes !== undefined && cookie('pin_consent').slice(0, 5) !== (yes ? 'v1.g.' : 'v1.d.')) {
      turn++;
      write(yes);
    }
    if (yes === false) {
      decide(false);
    } else if (!granted) {
      granted = undefined;
    }
    ready = ready.then(function () {
      if (mine !== words || (yes && granted)) { return; }
      if (yes) { write(yes); } // the same word of long ago may have expired
      return ask(yes, {
        method: 'POST', headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(yes === false ? {} : { epik: epik() })
      });
    });
  }

  var ready = new Promise(function (resolve) {
    if (document.prerendering) {
      document.addEventListener('prerenderingchange', resolve, { once: true });
    } else {
      resolve();
    }
  }).then(page);

  window.pinterestCapi = { track: track, consent: consent, epik: epik };
  window.addEventListener('pagehide', function () {
    isLeaving = true;
    flush();
  });
  window.addEventListener('pageshow', function (shown) {
    isLeaving = false;
    if (shown.persisted) { ready = ready.then(page); }
  });
})();
