'use strict';

// A divider between two versions of an image.
function addSlider(example) {
  const slider = example.querySelector('.slider');
  const sources = example.querySelectorAll('.pane img');
  const [before, after] = slider.querySelectorAll('img');
  before.src = sources[example.dataset.before].src;
  after.src = sources[example.dataset.after].src;
  const range = slider.querySelector('input');
  const move = () => {
    slider.style.setProperty('--split', `${range.value}%`);
    range.setAttribute('aria-valuetext', `${before.alt} left of ${range.value} %`);
  };
  range.addEventListener('input', move);
  move();
}

// All versions of an image show the same place, at the same scale.
function linkZoom(example) {
  const label = example.querySelector('.zoom');
  const range = label.querySelector('input');
  const panes = example.querySelector('.panes');
  const place = { x: 0.5, y: 0.5 };
  const clamped = (value) => Math.min(1, Math.max(0, value));
  const show = () => {
    example.style.setProperty('--zoom', range.value);
    example.style.setProperty('--x', `${100 * place.x}%`);
    example.style.setProperty('--y', `${100 * place.y}%`);
    example.classList.toggle('zoomed', range.value > 1);
    label.querySelector('output').value = `${range.value}×`;
  };
  const pointAt = (event) => {
    const frame = event.target.closest('.frame');
    if (!frame) return false;
    const box = frame.getBoundingClientRect();
    place.x = clamped((event.clientX - box.left) / box.width);
    place.y = clamped((event.clientY - box.top) / box.height);
    return true;
  };
  range.addEventListener('input', show);
  panes.addEventListener('pointermove', (event) => {
    if (range.value > 1 && pointAt(event)) show();
  });
  panes.addEventListener('click', (event) => {
    if (!pointAt(event)) return;
    range.value = range.value > 1 ? 1 : 4;
    show();
  });
  const keys = {
    ArrowLeft: () => (place.x -= 0.1), ArrowRight: () => (place.x += 0.1),
    ArrowUp: () => (place.y -= 0.1), ArrowDown: () => (place.y += 0.1),
    '+': () => range.stepUp(2), '=': () => range.stepUp(2), '-': () => range.stepDown(2),
  };
  panes.addEventListener('keydown', (event) => {
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key];
    if (!act || (range.value <= 1 && event.key.startsWith('Arrow'))) return;
    event.preventDefault();
    act();
    place.x = clamped(place.x);
    place.y = clamped(place.y);
    show();
  });
}

// Headings sort by their column: numbers by value, missing ones last, and texts by their letters.
function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const compared = (column) => (row, other) => {
    const [a, b] = [row.cells[column], other.cells[column]];
    if (a.dataset.value === undefined) {
      return a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
    }
    return a.dataset.value - b.dataset.value;
  };
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => {
    const order = head.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending';
    heads.forEach((other) => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', order);
    const lacking = (row) => row.cells[column].dataset.value === '';
    const rows = [...body.rows];
    const known = rows.filter((row) => !lacking(row)).sort(compared(column));
    if (order === 'descending') known.reverse();
    body.append(...known, ...rows.filter(lacking));
  }));
}

document.querySelectorAll('.example').forEach((example) => {
  addSlider(example);
  linkZoom(example);
  example.querySelector('.compare').hidden = false; // of no use without scripts
});
document.querySelectorAll('table.sortable').forEach(makeSortable);
