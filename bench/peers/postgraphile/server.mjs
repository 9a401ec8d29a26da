// PostGraphile over the views of `bench`, as its documentation has it for production: the Amber preset, no watching,
// no explaining, no GraphiQL; a role and settings for each request, from who is asking.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const { url, poolSize, tenants } = JSON.parse(process.env.BENCH_POSTGRAPHILE);

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [
    makePgService({ connectionString: url, schemas: ["graphile"], pubsub: false, poolConfig: { max: poolSize } }),
  ],
  grafserv: { graphiql: false, watch: false, websockets: false },
  grafast: {
    explain: false,
    context: ({ node }) => {
      // Who has no key that is known here belongs to no tenant, and sees nothing.
      const tenant = tenants[node?.req.headers.authorization?.replace(/^Bearer /, "")] ?? "";
      return { pgSettings: { role: "ag_api", "app.tenant_id": tenant } };
    },
  },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
await instance.getSchema();
server.keepAliveTimeout = 75_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
