/*
 * The console functions of hv/host.h on serial ports: see console.h. host_console_write is called
 * by the log, which keeps CPUs apart; the others by the console CPU. The list is changed by the
 * boot CPU only.
 */
#include "boot/console.h"
#include "arch/x86_64/percpu.h"
#include "boot/console_pace.h"
#include "boot/iommu.h"
#include "boot/keyboard.h"
#include "drivers/ioapic.h"
#include "hv/console/console.h"
#include "hv/console/log_ring.h"
#include "hv/console/view.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/pci.h"

enum {
	OFFERS = 8,
	POLLS_PER_SECOND = 100,
	STUCK_SECONDS = 2, /* a port that takes nothing for so long does not hold up the others */
	READS_MOST = 48,   /* bytes of a port in one turn: no serial line has as many, but a port
			      that is stuck, which must not keep the others' from being read */
};

struct serial {
	struct uart uart;
	char name[40];
	uint64_t base; /* of an offer: its first register, a port or a physical address */
	bool greeted;  /* it has seen the log from its beginning */
	bool has_irq;  /* else it is written to with waiting, and looked at now and then */
	bool told;     /* that it takes nothing */
	struct pace pace;
	unsigned reads; /* bytes read since it was last watched */
};

static struct serial used[CONSOLES], offer[OFFERS];
static unsigned uses, offers;
static struct console_list wanted;
static const struct acpi_info *acpi;
static unsigned watcher = MAX_CPUS; /* the CPU that the ports' interrupts are routed to */

void console_used(struct console_list *c)
{
	c->ports = 0;
	for (unsigned i = 0; i < uses; i++) {
		if (!used[i].uart.mmio) {
			c->port[c->ports++] = used[i].uart.port;
		}
	}
}

const char *console_name(unsigned i)
{
	return i < uses ? used[i].name : NULL;
}

/* --- writing, waiting --- */

static bool put_lines(const struct uart *u, const char *s, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n') {
			if (!uart_put(u, s + from, i - from) || !uart_put(u, "\r", 1)) {
				return false;
			}
			from = i;
		}
	}
	return uart_put(u, s + from, n - from);
}

static void write_one(struct serial *p, const char *s, size_t n)
{
	if (p->pace.stuck && !uart_ready(&p->uart)) {
		return; /* each line would be waited for */
	}
	if (put_lines(&p->uart, s, n)) {
		uart_drain(&p->uart);
	} else {
		pace_give_up(&p->pace, host_tsc());
	}
}

void host_console_write(const char *s, size_t n)
{
	for (unsigned i = 0; i < uses; i++) {
		write_one(&used[i], s, n);
	}
	view_log();
}

/* The log so far, for a port that comes when others, or nobody, have heard it. */
static void greet(struct serial *p)
{
	const struct log_ring *log = log_ring();
	uint64_t at = log->end > LOG_RING ? log->end - LOG_RING : 0;

	while (!p->greeted && at < log->end) {
		uint64_t from = at % LOG_RING, n = log->end - at;

		n = n < LOG_RING - from ? n : LOG_RING - from;
		write_one(p, log->text + from, n);
		at += n;
	}
	p->greeted = true;
}

/* --- which ports --- */

static struct serial *find(uint16_t port)
{
	for (unsigned i = 0; i < uses; i++) {
		if (!used[i].uart.mmio && used[i].uart.port == port) {
			return &used[i];
		}
	}
	return NULL;
}

/* Adds the port to the list if it answers, or says why not; once, as they are asked for again. */
static void take(struct serial *list, unsigned *n, const struct serial *p)
{
	static char absent[sizeof(p->name)];
	struct serial found = *p;
	enum uart_health health = uart_init(&found.uart);

	if (health != UART_ABSENT) {
		list[(*n)++] = found;
	} else if (strcmp(absent, p->name) != 0) {
		log_line("console: no UART answers at %s", p->name);
		memcpy(absent, p->name, sizeof(absent));
	}
	if (health == UART_SUSPECT) {
		log_line("console: the UART at %s fails its loopback test", p->name);
	}
}

static void take_offer(struct serial *list, unsigned *n, struct serial *p)
{
	take(list, n, p);
	if (*n && !p->greeted) {
		log_line("console: %s", p->name);
		p->greeted = true;
	}
}

/* From the list that log lines go to while it is made, to the new one. */
static void use(struct serial *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		greet(&list[i]);
		used[i] = list[i];
	}
	uses = n;
}

static void choose(void)
{
	struct serial next[CONSOLES];
	unsigned n = 0;

	for (unsigned i = 0; i < wanted.ports; i++) {
		struct serial p = {.uart = {.port = wanted.port[i], .stride = 1, .width = 1}};
		const struct serial *old = find(wanted.port[i]);

		fmt_print(p.name, sizeof(p.name), "port 0x%x", wanted.port[i]);
		p.greeted = old && old->greeted;
		take(next, &n, &p);
	}
	for (unsigned i = 0; wanted.ports && !n && i < offers; i++) {
		take_offer(next, &n, &offer[i]);
	}
	use(next, n);
}

void console_use(const struct console_list *c)
{
	wanted = *c;
	choose();
}

void console_offer(const struct uart *u, const char *name, uint64_t base)
{
	struct serial *p = &offer[offers], next[1];
	unsigned n = 0;

	if (offers == OFFERS) {
		return;
	}
	*p = (struct serial){.uart = *u, .base = base};
	fmt_print(p->name, sizeof(p->name), "%s", name);
	offers++;
	if (!uses && wanted.ports) {
		take_offer(next, &n, p);
		use(next, n);
	}
}

/* Are these the registers of a PCI function? Firmware's tables name such ports, too. */
static bool is_function(const struct serial *p, uint16_t bdf)
{
	const struct pci_function *f = pci_find(bdf);

	for (unsigned i = 0; f && i < PCI_BARS; i++) {
		const struct pci_bar *b = &f->bar[i];

		if (b->io == !p->uart.mmio && p->base >= b->base && p->base - b->base < b->size) {
			return true;
		}
	}
	return false;
}

void console_withdraw(uint16_t bdf)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < offers; i++) {
		if (is_function(&offer[i], bdf)) {
			log_line("console: %s goes to a guest", offer[i].name);
		} else {
			offer[kept++] = offer[i];
		}
	}
	if (kept != offers) {
		offers = kept;
		choose(); /* the command line may have had the last word on ports */
	}
}

void console_drain(void)
{
	for (unsigned i = 0; i < uses; i++) {
		uart_drain(&used[i].uart);
	}
}

/* --- the multiplexer's way, by interrupts --- */

static void uart_interrupt(uint8_t vector)
{
	(void)vector;
	/* Silent until the console CPU has seen it and calls host_console_watch again. */
	for (unsigned i = 0; i < uses; i++) {
		uart_irq_disable(&used[i].uart);
	}
	console_wake();
}

void console_use_interrupts(const struct acpi_info *a)
{
	acpi = a;
	irq_handle(VECTOR_UART, uart_interrupt);
}

static bool route(const struct uart *u, uint32_t apic_id)
{
	uint8_t irq;
	uint32_t gsi;
	bool level, low;

	if (u->mmio) {
		return false;
	}
	switch (u->port) {
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
	for (unsigned i = 0; i < uses; i++) {
		used[i].has_irq = acpi && route(&used[i].uart, percpu_of[watcher]->apic_id);
		if (!used[i].has_irq) {
			log_line("console: no interrupt is known for %s; it is looked at %u times "
				 "a second",
				 used[i].name, (unsigned)POLLS_PER_SECOND);
		}
	}
	keyboard_watch(percpu_of[watcher]->apic_id);
}

uint64_t host_console_watch(bool output)
{
	uint64_t look = iommu_watch(); /* a place that every machine comes by now and then */

	if (watcher != host_cpu()) {
		route_all();
	}
	for (unsigned i = 0; i < uses; i++) {
		struct serial *p = &used[i];
		bool floods = p->reads >= READS_MOST; /* its interrupt would come at once */

		if (p->has_irq && !floods) {
			uart_irq_enable(&p->uart, output);
		}
		p->reads = 0;
		if (!p->has_irq || floods || p->pace.since) {
			uint64_t poll = host_tsc() + host_tsc_hz / POLLS_PER_SECOND;

			look = poll < look ? poll : look;
		}
	}
	return look;
}

static enum pace_answer ask(struct serial *p)
{
	uint64_t now = host_tsc();
	enum pace_answer answer;

	if (!p->has_irq && !p->pace.stuck) {
		return PACE_WRITE;
	}
	answer = pace_ask(&p->pace, uart_ready(&p->uart), now, STUCK_SECONDS * host_tsc_hz);
	if (answer == PACE_SKIP && !p->told) {
		p->told = true;
		log_line("console: %s takes nothing; it is not waited for", p->name);
	}
	return answer;
}

unsigned host_console_put(const char *s, unsigned n)
{
	bool takes[CONSOLES], wait = false;

	/* All consoles take the same bytes: the slowest sets the pace, unless it is stuck. */
	for (unsigned i = 0; i < uses; i++) {
		enum pace_answer answer = ask(&used[i]);

		n = n < used[i].uart.fifo ? n : used[i].uart.fifo;

		takes[i] = answer == PACE_WRITE;
		wait |= answer == PACE_WAIT;
	}
	if (wait) {
		return 0;
	}
	for (unsigned i = 0; i < uses; i++) {
		if (takes[i] && !uart_put(&used[i].uart, s, n)) {
			pace_give_up(&used[i].pace, host_tsc());
		}
	}
	return n;
}

int host_console_get(void)
{
	for (unsigned i = 0; i < uses; i++) {
		int byte = used[i].reads < READS_MOST ? uart_read(&used[i].uart) : -1;

		if (byte >= 0) {
			used[i].reads++;
			return byte;
		}
	}
	return keyboard_get();
}
