// Renders the formulas that pymdownx.arithmatex marks. KaTeX 0.19.1, unchanged, from npm; only the fonts in use.
for (const element of document.querySelectorAll(".arithmatex")) {
  const source = element.textContent.trim();
  katex.render(source.slice(2, -2), element, { displayMode: source.startsWith("\\["), throwOnError: false });
}
