/*
 * The console functions of hv/host.h on serial ports: see console.h. host_console_write is called
 * by the log, which keeps CPUs apart; the others by the console CPU. The list is changed by the
 * boot CPU only.
 */
#include "boot/console.h"
#include "arch/x86_64/percpu.h"
#include "boot/keyboard.h"
#include "drivers/ioapic.h"
#include "drivers/uart16550.h"
#include "hv/console/console.h"
#include "hv/console/view.h"
#include "hv/host.h"
#include "hv/log.h"

static struct console_list used;
static const struct acpi_info *acpi;
static unsigned watcher = MAX_CPUS; /* the CPU that the ports' interrupts are routed to */
static bool has_irq[CONSOLES];	    /* else the port is written to with waiting, and not watched */

void console_use(const struct console_list *c)
{
	enum uart_health health[CONSOLES];

	used.ports = 0;
	for (unsigned i = 0; i < c->ports; i++) {
		health[i] = uart_init(c->port[i]);
		if (health[i] != UART_ABSENT) {
			used.port[used.ports++] = c->port[i];
		}
	}
	for (unsigned i = 0; i < c->ports; i++) {
		if (health[i] == UART_ABSENT) {
			log_line("console: no UART answers at port 0x%x", c->port[i]);
		} else if (health[i] == UART_SUSPECT) {
			log_line("console: the UART at port 0x%x fails its loopback test",
				 c->port[i]);
		}
	}
}

void console_used(struct console_list *c)
{
	*c = used;
}

/* --- writing, waiting --- */

static void write_one(uint16_t port, const char *s, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n') {
			if (!uart_put(port, s + from, i - from) || !uart_put(port, "\r", 1)) {
				return;
			}
			from = i;
		}
	}
	if (uart_put(port, s + from, n - from)) {
		uart_drain(port);
	}
}

void host_console_write(const char *s, size_t n)
{
	for (unsigned i = 0; i < used.ports; i++) {
		write_one(used.port[i], s, n);
	}
	view_log();
}

void console_drain(void)
{
	for (unsigned i = 0; i < used.ports; i++) {
		uart_drain(used.port[i]);
	}
}

/* --- the multiplexer's way, by interrupts --- */

static void uart_interrupt(uint8_t vector)
{
	(void)vector;
	/* Silent until the console CPU has seen it and calls host_console_watch again. */
	for (unsigned i = 0; i < used.ports; i++) {
		uart_irq_disable(used.port[i]);
	}
	console_wake();
}

void console_use_interrupts(const struct acpi_info *a)
{
	acpi = a;
	irq_handle(VECTOR_UART, uart_interrupt);
}

static bool route(uint16_t port, uint32_t apic_id)
{
	uint8_t irq;
	uint32_t gsi;
	bool level, low;

	switch (port) {
	case UART_COM1:
	case UART_COM3: irq = 4; break;
	case UART_COM2:
	case UART_COM4: irq = 3; break;
	default: return false;
	}
	gsi = ioapic_isa(acpi, irq, &level, &low);
	return ioapic_route(gsi, apic_id, VECTOR_UART, level, low);
}

static void route_all(void)
{
	watcher = host_cpu();
	for (unsigned i = 0; i < used.ports; i++) {
		has_irq[i] = acpi && route(used.port[i], percpu_of[watcher]->apic_id);
		if (!has_irq[i]) {
			log_line("console: no interrupt is known for port 0x%x; it is for output",
				 used.port[i]);
		}
	}
	keyboard_watch(percpu_of[watcher]->apic_id);
}

void host_console_watch(bool output)
{
	if (watcher != host_cpu()) {
		route_all();
	}
	for (unsigned i = 0; i < used.ports; i++) {
		if (has_irq[i]) {
			uart_irq_enable(used.port[i], output);
		}
	}
}

unsigned host_console_put(const char *s, unsigned n)
{
	n = n < UART_FIFO ? n : UART_FIFO;
	/* All consoles take the same bytes: the slowest sets the pace. */
	for (unsigned i = 0; i < used.ports; i++) {
		if (has_irq[i] && !uart_ready(used.port[i])) {
			return 0;
		}
	}
	for (unsigned i = 0; i < used.ports; i++) {
		uart_put(used.port[i], s, n);
	}
	return n;
}

int host_console_get(void)
{
	for (unsigned i = 0; i < used.ports; i++) {
		int byte = uart_read(used.port[i]);

		if (byte >= 0) {
			return byte;
		}
	}
	return keyboard_get();
}
