// The page of the till, with mistakes in it.
export function show(name) {
  document.querySelector("#name").innerHTML = name;
}

export function load(text) {
  try {
    return JSON.parse(text);
  } catch (error) {}
}

export const isFree = (price) => price == 0; // "==" and eval( in a text are none
