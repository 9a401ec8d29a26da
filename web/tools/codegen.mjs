// Writes documents.ts beside each documents.graphql: the types of its operations, and what to ask for them by.
// With --check it changes nothing and fails where one is not what the schema and the documents say.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { generate } from '@graphql-codegen/cli';
import { manifest, readDocuments, root, SHARED } from './documents.mjs';

const config = {
  enumsAsTypes: true,
  skipTypename: true,
  useTypeImports: true,
  noComments: true,
  inlineFragmentTypes: 'combine',
  scalars: {
    ID: 'string',
    DateTime: 'string',
    Duration: 'string',
    Cursor: 'string',
    LocalTime: 'string',
    Long: 'number',
    JSON: 'unknown',
  },
};

const isCheck = process.argv.includes('--check');
const files = readDocuments();
// Also sees to it that no name is used twice.
manifest();
const generates = Object.fromEntries(
  files.map(({ path, needsShared }) => [
    path.replace(/\.graphql$/, '.ts'),
    { documents: needsShared ? [SHARED, path] : [path], plugins: ['typescript-operations'], config },
  ]),
);
const outputs = await generate(
  { schema: join(root, '..', 'schema.graphql'), generates, silent: true, errorsOnly: true },
  false,
);
const stale = [];
for (const { path, operations } of files) {
  const target = path.replace(/\.graphql$/, '.ts');
  const types = outputs.find(output => output.filename === target).content;
  const kinds = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' };
  const constants = operations.map(({ name, type, text, hash }) => {
    const base = `${name}${kinds[type]}`;
    return `export const ${name} = document<${base}, ${base}Variables>(\n  '${hash}',\n  import.meta.env.DEV ? ${JSON.stringify(text)} : undefined,\n);\n`;
  });
  const imports = operations.length ? `import { document } from '${importPath(path)}';\n\n` : '';
  const content = `// Written by \`npm run codegen\`; do not edit.\n${imports}${types}\n${constants.join('\n')}`;
  if (isCheck) {
    let found = '';
    try {
      found = readFileSync(target, 'utf8');
    } catch {
      // It is missing, which is told below.
    }
    if (found !== content) stale.push(relative(root, target));
  } else {
    writeFileSync(target, content);
  }
}
if (stale.length) {
  console.error(`Not what schema and documents say: ${stale.join(', ')}. Run make web-codegen.`);
  process.exit(1);
}

function importPath(path) {
  const found = relative(join(path, '..'), join(root, 'src', 'api', 'document')).replaceAll('\\', '/');
  return found.startsWith('.') ? found : `./${found}`;
}
