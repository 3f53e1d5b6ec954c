/*
 * The console CPU's work: guests' rings and the log -> terminal -> hardware, and typed bytes back.
 *
 * console_wake is called on any CPU; everything else runs on the console CPU alone and owns its
 * state.
 */
#include "hv/console/console.h"
#include "hv/console/log_ring.h"
#include "hv/console/terminal.h"
#include "hv/console/view.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/partition.h"
#include "hv/virt.h"

static struct terminal terminal;
static const struct config_system *settings;
static unsigned console_cpu;
static _Atomic bool ready, pending;
static struct vcpu *console_vcpu; /* that the console CPU runs, or NULL */
static bool ended;
static bool leaving; /* the end was asked for here: guests are not listened to any more */
static uint64_t console_deadline = UINT64_MAX; /* host TSC at which to look again */
static uint64_t last_byte;		       /* host TSC at which a guest's byte was last seen */

enum {
	CHUNK = 64,
	ROUNDS = 8, /* ringfuls of each guest that one turn moves, so that nothing else waits */
	SHARED_ROUNDS = 2, /* beside a guest; the second mostly finds nothing */
	SHARED_TURNS_PER_SECOND = 1000,
	PAUSE_PER_SECOND = 50, /* a prompt shows after 1/50 s of silence */
	TYPED_MOST = 256,      /* bytes of one turn: a broken port always has one */
	LOG_ROOM = 2,	       /* bytes of the terminal's room that only the log may take */
};

static struct vcpu *vcpu_on(unsigned cpu)
{
	for (unsigned i = 0; i < partition_count; i++) {
		for (unsigned n = 0; n < partitions[i]->vcpus; n++) {
			if (partitions[i]->vcpu[n]->cpu == cpu) {
				return partitions[i]->vcpu[n];
			}
		}
	}
	return NULL;
}

/* What the log has said so far can be shown again; log_take gives what follows. */
static void remember_log(void)
{
	const struct log_ring *ring = log_ring();
	uint64_t end = ring->printed;

	for (uint64_t at = end > TERMINAL_HISTORY ? end - TERMINAL_HISTORY : 0; at < end; at++) {
		terminal_remember(&terminal, TERMINAL_LOG,
				  (const uint8_t *)&ring->text[at % LOG_RING], 1);
	}
}

void console_init(const struct config_system *system, unsigned cpu)
{
	settings = system;
	console_cpu = cpu;
	console_vcpu = vcpu_on(cpu);
	ended = leaving = false;
	terminal_init(&terminal);
	for (unsigned i = 0; i < partition_count; i++) {
		if (partitions[i]->pc.has_uart) {
			terminal_name(&terminal, i, partitions[i]->config->name);
		}
	}
	log_defer(true); /* a line that is printed at once takes the screen back */
	remember_log();
	view_start(&terminal);
	if (console_vcpu) {
		console_vcpu->console_deadline = view_turn(console_vcpu != NULL);
	}
	atomic_store(&ready, true);
	console_wake(); /* for lines since log_defer */
}

void console_wake(void)
{
	if (!atomic_load(&ready) || atomic_exchange(&pending, true)) {
		return;
	}
	if (console_vcpu) {
		vcpu_post(console_vcpu, REQUEST_CONSOLE);
	} else if (host_cpu() != console_cpu) {
		host_kick(console_cpu, false);
	}
}

/* To the hardware, as much as it takes without waiting. True: all is out. */
static bool flush(void)
{
	while (terminal.head != terminal.tail) {
		uint32_t at = terminal.tail % TERMINAL_OUT;
		uint32_t n = terminal.head - terminal.tail;
		unsigned sent;

		n = n < TERMINAL_OUT - at ? n : TERMINAL_OUT - at;
		sent = host_console_put((const char *)terminal.out + at, n);
		terminal.tail += sent;
		if (sent < n) {
			return false;
		}
	}
	return true;
}

static unsigned limit(unsigned room)
{
	return room < CHUNK ? room : CHUNK;
}

/* What a guest has in its ring, as far as there is room. True: something was taken. */
static bool collect_guest(unsigned i)
{
	struct vuart *u = &partitions[i]->pc.uart;
	unsigned n = 1, taken = 0;
	uint8_t buf[CHUNK];

	while (n && taken < VUART_OUT) {
		unsigned room = terminal_room(&terminal);

		n = vuart_take(u, buf, room > LOG_ROOM ? limit(room - LOG_ROOM) : 0);
		terminal_feed(&terminal, i, buf, n);
		view_feed(i, buf, n);
		taken += n;
	}
	if (taken) {
		last_byte = host_tsc();
	}
	if (vuart_drained(u)) {
		vcpu_post(partitions[i]->vcpu[0], REQUEST_UART);
	}
	return taken;
}

/*
 * A ringful of each guest, a different one first each time, so that nobody keeps the terminal; then
 * the log, which always has room: what is said of a guest's end comes after its last words. True:
 * there may be more.
 */
static bool collect(void)
{
	static unsigned first;
	uint8_t buf[CHUNK];
	bool more = false;
	unsigned n;

	for (unsigned i = 0; !leaving && i < partition_count; i++) {
		unsigned guest = (first + i) % partition_count;

		more |= partitions[guest]->pc.has_uart && collect_guest(guest);
	}
	first++;
	do { /* in whole lines, which no guest's breaks up */
		n = log_take((char *)buf, limit(terminal_room(&terminal)));
		terminal_feed(&terminal, TERMINAL_LOG, buf, n);
		view_feed(TERMINAL_LOG, buf, n);
		more |= n > 0;
	} while (n && buf[n - 1] != '\n');
	return more;
}

static void end_machine(void)
{
	log_defer(false);
	host_end(settings);
}

/* The line that tells the end is for everybody, whoever has the terminal. */
static void show_all(void)
{
	terminal_show_all(&terminal);
	view_switch();
}

/* As when all guests have ended: once everything is printed. */
static void leave(void)
{
	if (!leaving && terminal_room(&terminal)) {
		leaving = ended = true;
		show_all();
		log_line("ended from the console");
	}
}

static void type(uint8_t byte)
{
	struct partition *p;

	switch (terminal_type(&terminal, byte)) {
	case KEY_NONE: return;
	case KEY_LOG: view_page(byte); return;
	case KEY_END: leave(); return;
	case KEY_INPUT: break;
	}
	p = partitions[terminal.input];
	if (vuart_offer(&p->pc.uart, byte)) {
		vcpu_post(p->vcpu[0], REQUEST_UART);
	}
}

/* All guests have ended for good: tells how, and ends the machine once everything is printed. */
static void check_end(void)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < partition_count; i++) {
		if (!atomic_load(&partitions[i]->finished)) {
			return;
		}
		failed += partitions[i]->failed;
	}
	if (!ended && terminal_room(&terminal)) {
		ended = true;
		show_all();
		log_line("all guests ended: %u ok, %u failed", partition_count - failed, failed);
	}
}

/* The unfinished line of a guest that has paused comes out; else it is looked at again later. */
static void reveal(void)
{
	uint64_t due = last_byte + host_tsc_hz / PAUSE_PER_SECOND;
	bool now;

	if (!terminal_hides(&terminal)) {
		console_deadline = UINT64_MAX;
		return;
	}
	now = host_tsc() >= due;
	if (now) {
		terminal_reveal(&terminal);
	}
	console_deadline = now ? UINT64_MAX : due;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* True: there is more than this turn may move. */
static bool move(void)
{
	unsigned rounds = console_vcpu ? SHARED_ROUNDS : ROUNDS;
	bool all_out;

	for (unsigned i = 0; i < rounds; i++) {
		all_out = flush();
		if (!collect() && !(all_out && terminal.head != terminal.tail)) {
			return false;
		}
	}
	return true;
}

/* True: there may be more than one turn takes. */
static bool take_typed(void)
{
	for (unsigned i = 0; i < TYPED_MOST; i++) {
		int byte = host_console_get();

		if (byte < 0) {
			return false;
		}
		type((uint8_t)byte);
		view_switch();
	}
	return true;
}

void console_run(void)
{
	bool more_typed, more, all_out;

	atomic_store(&pending, false);
	more_typed = take_typed();
	check_end();
	more = move();
	reveal();
	all_out = flush();
	console_deadline = earlier(console_deadline, host_console_watch(!all_out));
	console_deadline = earlier(console_deadline, view_turn(console_vcpu != NULL));
	if (more || more_typed) {
		uint64_t pause = console_vcpu ? host_tsc_hz / SHARED_TURNS_PER_SECOND : 0;

		console_deadline = earlier(console_deadline, host_tsc() + pause);
	}
	if (console_vcpu) {
		console_vcpu->console_deadline = console_deadline;
	}
	if (ended && all_out && !more) {
		end_machine();
	}
}

void console_loop(void)
{
	for (;;) {
		console_run();
		host_timer_set(console_deadline);
		if (!atomic_load(&pending)) {
			host_wait();
		}
	}
}
