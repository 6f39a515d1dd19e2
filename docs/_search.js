// Ranks what a search finds: the page of a task first, then the reference, then explanations.
const PARTS = { tutorial: 8, "how-to": 12, reference: 4, explanation: 0 };
var Scorer = {
  score: ([docname, title, anchor, description, score]) => score + (PARTS[docname.split("/")[0]] ?? 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
