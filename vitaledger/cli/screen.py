"""What the demo shows in the terminal: the two ends' own words, side by side."""

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

SHOWN = ("spo2", "pulse", "pi")


def live(
    collector: dict[str, Any], gateway: dict[str, Any], seconds: float, pages: str | None = None
) -> RenderableType:
    """The picture while the demo runs; `pages` is where the same is to be seen in a browser."""
    devices = Table(title="latest readings, as the ledger has them, each verified", expand=True)
    for heading in ("device", *SHOWN, "age", "state"):
        devices.add_column(heading, justify="left" if heading in {"device", "state"} else "right")
    latest: dict[str, dict[str, dict[str, Any]]] = {}
    for row in collector.get("latest", []):
        latest.setdefault(row["device"], {})[row["signal"]] = row
    for device, signals in latest.items():
        newest = min(signals.values(), key=lambda row: row["age_s"])
        values = (_value(signals.get(signal)) for signal in SHOWN)
        devices.add_row(device, *values, f"{newest['age_s']:.1f} s", newest["state"])
    log: dict[str, Any] = next(iter(collector.get("logs", [])), {})
    path = Table.grid(padding=(0, 2))
    for name, value in (
        ("gateway has sealed", f"{gateway.get('size', 0)} entries"),
        ("last anchor", f"size {log.get('witnessed_size', 0)}"),
        ("custody receipt", f"size {gateway.get('custody_size', 0)}, backlog {gateway.get('backlog', 0)}"),
        ("ledger", f"{collector.get('ledger_size', 0)} statements"),
        (
            "verified end to end",
            (
                f"{collector.get('readings_verified', 0)} readings, "
                f"{collector.get('wave_samples_verified', 0)} wave samples, {collector.get('failures', 0)} failures"
            ),
        ),
        ("byte to receipt", f"p50 {_ms(gateway.get('receipt_ms_p50'))}, p99 {_ms(gateway.get('receipt_ms_p99'))}"),
    ):
        path.add_row(Text(name, style="bold"), value)
    if pages is not None:
        path.add_row(Text("in your browser", style="bold"), Text(pages, style=f"bold cyan link {pages}"))
    title = f"vitaledger demo, {seconds:.0f} s: devices → gateway → MQTT → collector → ledger"
    return Panel(Group(devices, path), title=title, subtitle="Ctrl-C ends it")


def summary(result: dict[str, Any], folder: Path, *, kept: bool) -> RenderableType:
    """What is printed at the end."""
    table = Table.grid(padding=(0, 2))
    same = result["readings_sent"] == result["readings_in_ledger"]
    for name, value in (
        ("sent by the devices", f"{result['readings_sent']} readings, {result['wave_samples_sent']} wave samples"),
        (
            "in verified history",
            (
                f"{result['readings_in_ledger']} readings, "
                f"{result['wave_samples_in_ledger']} wave samples: {'all of them' if same else 'NOT THE SAME'}"
            ),
        ),
        ("gateway log", f"{result['gateway_size']} entries, receipted to {result['custody_size']}"),
        ("ledger", f"{result['ledger_size']} statements"),
        ("byte to receipt", f"p50 {_ms(result['receipt_ms_p50'])}, p99 {_ms(result['receipt_ms_p99'])}"),
        ("verify", "clean on both sides" if result["verify_ok"] else "; ".join(result["failures"])),
    ):
        table.add_row(Text(name, style="bold"), value)
    if not kept:
        return Group(table, Text("\nTo look further, keep the folder: vitaledger demo --keep demo-ward"))
    config = folder / "collector" / "collector.toml"
    return Group(
        table,
        Text(
            "\nLook further:\n"
            f"  vitaledger-collector --config {config} devices\n"
            f"  vitaledger-collector --config {config} history bed-1 --limit 20\n"
            f"  vitaledger-collector --config {config} export bed-1 -o evidence.zip\n"
            f"  vitaledger-collector --config {config} verify"
        ),
    )


def _value(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['value']} {row['unit']}" if row["value"] is not None else f"({row['absent']})"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value / 1000:.1f} s"
