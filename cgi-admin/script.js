/* Keeps the page fresh, filters without a reload, and says what a bar of the chart stands for.
 * Everything works without it: it only fetches what a reload would show. */
(() => {
  'use strict';

  const EVERY = 10000;
  const PENDING = 700;
  const live = document.querySelector('[data-live]');
  const main = document.querySelector('main');
  let isFrozen = false;
  let timer = 0;
  let asked = 0;

  const button = document.createElement('button');
  const news = document.createElement('span');
  const said = document.createElement('span');
  button.type = 'button';
  button.className = 'quiet';
  news.className = 'pulse';
  said.className = 'hidden';
  said.setAttribute('role', 'status');
  live.append(news, button, said);
  live.hidden = false;

  const show = (word) => {
    news.textContent = word;
    live.classList.toggle('is-frozen', isFrozen || word !== 'Live');
    button.textContent = isFrozen ? 'Follow' : 'Freeze';
    button.title = isFrozen ? 'Follow live again' : 'Show no changes for now';
  };

  const filters = () => main.querySelector('.filters');
  const filled = () => new URLSearchParams(new FormData(filters() || undefined)).toString();
  let asServed = filled();

  /* What somebody types, selects or reaches by keyboard must not be pulled away. */
  const isBusy = () => {
    const active = document.activeElement;
    const selection = document.getSelection();
    return filled() !== asServed || (active !== main && main.contains(active)) ||
      (selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  };

  /* Where the keyboard is, by what stays the same in the new page. */
  const placeOf = (element) => {
    if (!main.contains(element) || element === main) {
      return null;
    }
    if (element.name) {
      return `[name="${CSS.escape(element.name)}"]`;
    }
    return element.id ? `#${CSS.escape(element.id)}` : element.dataset.place &&
      `[data-place="${CSS.escape(element.dataset.place)}"]`;
  };

  const swap = (text) => {
    const next = new DOMParser().parseFromString(text, 'text/html');
    const fresh = next.querySelector('main');
    if (!fresh) {
      return;
    }
    const scrolled = [...main.querySelectorAll('.scroll')].map((box) => box.scrollLeft);
    const open = [...main.querySelectorAll('details')].map((box) => box.open);
    const place = placeOf(document.activeElement);
    main.replaceChildren(...fresh.childNodes);
    asServed = filled();
    main.querySelectorAll('.scroll').forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    main.querySelectorAll('details').forEach((box, i) => { box.open = open[i] || false; });
    const again = place && main.querySelector(place);
    if (again) {
      again.focus({ preventScroll: true });
    }
    const time = document.querySelector('footer time');
    const freshTime = next.querySelector('footer time');
    if (time && freshTime) {
      time.replaceWith(freshTime);
    }
  };

  /* Of two questions only the answer to the later one counts. */
  const load = async (address, mayShow) => {
    const number = ++asked;
    try {
      const answer = await fetch(address.split('#')[0], { cache: 'no-store' });
      const text = await answer.text();
      if (number === asked && mayShow()) {
        swap(text);
        show(isFrozen ? 'Frozen' : 'Live');
      }
    }
    catch {
      show('Not reachable');
    }
  };

  const mayRefresh = () => !isFrozen && !document.hidden && !isBusy();
  const refresh = () => (mayRefresh() ? load(location.href, mayRefresh) : undefined);

  /* Somebody has just asked for something and waits to see what comes of it. */
  const awaitAnswer = async () => {
    if (document.querySelector('[data-pending]')) {
      await refresh();
      setTimeout(awaitAnswer, PENDING);
    }
  };

  const schedule = () => {
    clearInterval(timer);
    timer = isFrozen ? 0 : setInterval(refresh, EVERY);
    show(isFrozen ? 'Frozen' : 'Live');
  };

  button.addEventListener('click', () => {
    isFrozen = !isFrozen;
    schedule();
    refresh();
  });
  document.addEventListener('visibilitychange', refresh);

  /* --- another view of the same page --- */

  const here = () => new URL('.', location.href).href;
  const isView = (address) => address.origin + address.pathname === here() &&
    here() === location.href.split(/[?#]/)[0];

  const go = (address) => {
    history.pushState(null, '', address.href);
    load(address.href, () => true).then(() => {
      const target = address.hash && main.querySelector(address.hash);
      const box = target && target.closest('section').getBoundingClientRect();
      said.textContent = `${main.querySelectorAll('.deliveries tbody tr').length} deliveries shown`;
      if (box && (box.top < 0 || box.top > innerHeight * .8)) {
        target.closest('section').scrollIntoView();
      }
    });
  };

  const ask = (form) => {
    const address = new URL(form.action);
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    address.search = query.toString();
    go(address);
  };

  main.addEventListener('submit', (event) => {
    if (event.target === filters()) {
      event.preventDefault();
      ask(event.target);
    }
  });
  main.addEventListener('change', (event) => {
    if (event.target.form && event.target.form === filters() && event.target.type !== 'search') {
      ask(event.target.form);
    }
  });
  main.addEventListener('click', (event) => {
    const link = event.target.closest('a[href]');
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) {
      return;
    }
    const address = new URL(link.href);
    if (isView(address) && address.href.split('#')[0] !== location.href.split('#')[0]) {
      event.preventDefault();
      go(address);
    }
  });
  addEventListener('popstate', () => load(location.href, () => true));

  /* --- the chart --- */

  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.setAttribute('aria-hidden', 'true');

  /* The drawing's own titles would come up beside it, a second later. */
  const tellOf = (bar) => {
    const title = bar.querySelector('title');
    if (title) {
      bar.dataset.tip = title.textContent;
      title.remove();
    }
    tip.replaceChildren(...bar.dataset.tip.split('\n').map((line) => {
      const row = document.createElement('span');
      row.textContent = line;
      return row;
    }));
  };

  const point = (event) => {
    const bar = event.target.closest('.chart g');
    const frame = bar && bar.closest('.course');
    if (!bar) {
      tip.remove();
      return;
    }
    tellOf(bar);
    frame.append(tip);
    const box = bar.getBoundingClientRect();
    const around = frame.getBoundingClientRect();
    const left = box.left - around.left + box.width / 2 - tip.offsetWidth / 2;
    tip.style.left = `${Math.max(4, Math.min(left, around.width - tip.offsetWidth - 4))}px`;
  };
  main.addEventListener('pointermove', point);
  main.addEventListener('pointerleave', point);

  schedule();
  awaitAnswer();
})();
