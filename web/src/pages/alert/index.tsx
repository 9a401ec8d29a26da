export default function AlertPage() {
  return <div class="page">…</div>;
}
