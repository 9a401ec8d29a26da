// The console's GraphQL documents: every documents.graphql under src, with what each operation is registered as.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Kind, parse, print, visit } from 'graphql';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SHARED = join(root, 'src', 'api', 'documents.graphql');

/** Return the files, each with its operations; fragments are its own or those of src/api/documents.graphql. */
export function readDocuments() {
  const shared = fragmentsOf(parse(readFileSync(SHARED, 'utf8')));
  return readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name === 'documents.graphql')
    .map(entry => join(entry.parentPath, entry.name))
    .sort()
    .map(path => {
      const document = parse(readFileSync(path, 'utf8'));
      const fragments = new Map([...shared, ...fragmentsOf(document)]);
      const operations = document.definitions
        .filter(each => each.kind === Kind.OPERATION_DEFINITION)
        .map(operation => {
          if (!operation.name) throw new Error(`${relative(root, path)}: an operation has no name`);
          const text = print({ kind: Kind.DOCUMENT, definitions: withFragments(operation, fragments) });
          const hash = createHash('sha256').update(text).digest('hex');
          return { name: operation.name.value, type: operation.operation, text, hash };
        });
      return { path, operations, needsShared: path !== SHARED };
    });
}

/** Return what the server registers for the console: text by hash. */
export function manifest() {
  const all = readDocuments().flatMap(file => file.operations);
  const names = new Set();
  for (const { name } of all) {
    if (names.has(name)) throw new Error(`Two operations are named ${name}`);
    names.add(name);
  }
  return Object.fromEntries(all.map(each => [each.hash, each.text]));
}

export { SHARED };

function fragmentsOf(document) {
  const found = document.definitions.filter(each => each.kind === Kind.FRAGMENT_DEFINITION);
  return new Map(found.map(each => [each.name.value, each]));
}

function withFragments(operation, fragments) {
  const found = [operation];
  const seen = new Set();
  for (let index = 0; index < found.length; index += 1) {
    visit(found[index], {
      FragmentSpread: ({ name }) => {
        if (seen.has(name.value)) return;
        seen.add(name.value);
        const fragment = fragments.get(name.value);
        if (!fragment) throw new Error(`There is no fragment ${name.value}`);
        found.push(fragment);
      },
    });
  }
  return found;
}
