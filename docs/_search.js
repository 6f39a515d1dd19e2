// Ranks what a search finds: tasks before the reference before explanations, and pages whose own title has the words of the query.
// Sphinx by itself counts one word only, wherever a heading has it, and sorts the many that are equal by the alphabet.
const PARTS = { tutorial: 6, "how-to": 12, reference: 4, explanation: 0 };
const stems = (text) => splitQuery(text.toLowerCase()).map((word) => new Stemmer().stemWord(word));
const titled = (docname) => {
  const { docnames, titles } = Search._index;
  const title = stems(titles[docnames.indexOf(docname)]);
  const query = stems(new URLSearchParams(window.location.search).get("q") ?? "");
  const count = query.filter((word) => title.includes(word)).length;
  return 8 * count + (count === query.length ? 60 : 0);
};
var Scorer = {
  score: ([docname, , , , score]) => score + (PARTS[docname.split("/")[0]] ?? 0) + titled(docname),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
// Sphinx leaves numbers out of a query; here a status, such as 429, is a word like others.
const parse = Search._parseQuery;
Search._parseQuery = (query) => {
  const parsed = parse(query);
  splitQuery(query)
    .filter((word) => /^\d{3}$/.test(word))
    .forEach((word) => [1, 3].forEach((place) => parsed[place].add(word)));
  return parsed;
};
