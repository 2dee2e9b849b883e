// Links to the examples' pages, each with the command that brings it to life.

/** A card for each of them; `host` is where their listeners are reached. */
export function exampleCards(examples, host) {
  return examples.map(({ name, title, about, port, fragment, start }) => {
    const card = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/examples/${name}/page/?at=${host}:${port}${fragment ? `#${fragment}` : ""}`;
    link.textContent = title;
    link.dataset.example = name;
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = about;
    const command = document.createElement("code");
    command.textContent = start;
    card.append(link, note, command);
    return card;
  });
}
