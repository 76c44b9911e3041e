/* Keeps the page fresh. Everything works without it: it only fetches what a reload would show. */
(() => {
  'use strict';

  const EVERY = 10000;
  const PENDING = 700;
  const live = document.querySelector('[data-live]');
  let isPaused = false;
  let timer = 0;

  const button = document.createElement('button');
  const news = document.createElement('span');
  button.type = 'button';
  button.className = 'quiet';
  news.className = 'pulse';
  live.append(news, button);
  live.hidden = false;

  const show = (word) => {
    news.textContent = word;
    live.classList.toggle('is-paused', isPaused || word !== 'Live');
    button.textContent = isPaused ? 'Resume' : 'Pause';
    button.setAttribute('aria-label', isPaused ? 'Resume live updates' : 'Pause live updates');
  };

  const filled = () => new URLSearchParams(new FormData(document.querySelector('.filters') ||
    undefined)).toString();
  let asServed = filled();

  /* What somebody types, selects or reaches by keyboard must not be pulled away. */
  const isBusy = () => {
    const main = document.querySelector('main');
    const active = document.activeElement;
    const selection = document.getSelection();
    return filled() !== asServed || (active !== main && main.contains(active)) ||
      (selection && !selection.isCollapsed && main.contains(selection.anchorNode));
  };

  const swap = (text) => {
    const next = new DOMParser().parseFromString(text, 'text/html');
    const main = document.querySelector('main');
    const fresh = next.querySelector('main');
    if (!fresh) {
      return;
    }
    const scrolled = [...main.querySelectorAll('.scroll')].map((box) => box.scrollLeft);
    main.replaceChildren(...fresh.childNodes);
    asServed = filled();
    main.querySelectorAll('.scroll').forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    const time = document.querySelector('footer time');
    const freshTime = next.querySelector('footer time');
    if (time && freshTime) {
      time.replaceWith(freshTime);
    }
  };

  const refresh = async () => {
    if (isPaused || document.hidden || isBusy()) {
      return;
    }
    try {
      const answer = await fetch(location.href.split('#')[0], { cache: 'no-store' });
      const text = await answer.text();
      if (isPaused || document.hidden || isBusy()) {
        return;
      }
      swap(text);
      show('Live');
    }
    catch {
      show('Not reachable');
    }
  };

  /* Somebody has just asked for something and waits to see what comes of it. */
  const awaitAnswer = async () => {
    if (document.querySelector('[data-pending]')) {
      await refresh();
      setTimeout(awaitAnswer, PENDING);
    }
  };

  const schedule = () => {
    clearInterval(timer);
    timer = isPaused ? 0 : setInterval(refresh, EVERY);
    show(isPaused ? 'Paused' : 'Live');
  };

  button.addEventListener('click', () => {
    isPaused = !isPaused;
    schedule();
    refresh();
  });
  document.addEventListener('visibilitychange', refresh);
  schedule();
  awaitAnswer();
})();
