// Microsoft's own parser reads Adaptive Cards and says what it does not understand or would not render.
// Arguments: a JSON file with a list of cards. One line of JSON for each card.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The package's modules are made for bundlers; what it has for browsers loads everywhere.
const { AdaptiveCard, SerializationContext, Versions } = createRequire(import.meta.url)(
  "adaptivecards/dist/adaptivecards.js",
);

const cards = JSON.parse(readFileSync(process.argv[2], "utf8"));
for (const [index, json] of cards.entries()) {
  const context = new SerializationContext(Versions.v1_5);
  const card = new AdaptiveCard();
  card.parse(json, context);
  const found = [];
  for (let i = 0; i < context.eventCount; i++) found.push(context.getEventAt(i).message);
  for (const event of card.validateProperties().validationEvents) found.push(event.message);
  // What was not understood is missing when the card is written again.
  const again = card.toJSON();
  for (const part of ["body", "actions"]) {
    const before = (json[part] ?? []).length;
    const after = (again[part] ?? []).length;
    if (before !== after) found.push(`${before - after} of ${before} parts of the ${part} were lost`);
  }
  console.log(JSON.stringify({ name: `card ${index}`, ok: found.length === 0, detail: found.join("; ") }));
}
