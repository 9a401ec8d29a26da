export default function AlertsPage() {
  return <div class="page">…</div>;
}
