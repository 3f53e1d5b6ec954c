/*
 * The console CPU's work: who gets the terminal when it is short.
 */
#include "hv/console/console.h"
#include "test.h"
#include "tests/fake/fake_guest.h"

static const uint8_t code[] = {0xf4};

/* A guest "test" and a second one, "other", with nothing but a UART. */
static struct partition *two_guests(void)
{
	static struct partition other;
	static struct config_guest config = {.name = "other"};
	static struct config_system system;
	struct partition *p = fake_guest(1, "", code, sizeof(code));

	other.config = &config;
	other.pc.has_uart = true;
	other.vcpu[0] = p->vcpu[0];
	vuart_init(&other.pc.uart, 4, p->pc.uart.sink, p->pc.uart.notify, NULL);
	partitions[1] = &other;
	partition_count = 2;
	console_init(&system, 3);
	fake_host.console_len = 0;
	return p;
}

static bool send(struct partition *p, const char *text)
{
	for (; *text; text++) {
		struct bus_access lsr = {.offset = 5, .size = 1};
		struct bus_access thr = {.size = 1, .write = true, .value = (uint8_t)*text};

		vuart_ops.access(&p->pc.uart, &lsr);
		if (!(lsr.value & 0x20)) {
			return false;
		}
		vuart_ops.access(&p->pc.uart, &thr);
	}
	return true;
}

TEST(each_guest_is_named)
{
	struct partition *p = two_guests();

	send(p, "one\n");
	send(partitions[1], "two\n");
	console_run();
	CHECK(strstr(fake_host.console, "test| one\r\n") != NULL);
	CHECK(strstr(fake_host.console, "other| two\r\n") != NULL);
}

/* The UART takes sixteen bytes at a time, and one guest never stops: the other's line comes
 * through. */
static void check_flood(unsigned flooder)
{
	unsigned quiet = !flooder;
	const char *wanted = quiet ? "other| hello\r\n" : "test| hello\r\n";

	two_guests();
	fake_host.console_take = 16;
	for (int i = 0; i < 200; i++) {
		while (send(partitions[flooder], "flood flood flood flood flood flood flood\n")) {
		}
		console_run();
	}
	CHECK(send(partitions[quiet], "hello\n"));
	for (int i = 0; i < 2500; i++) {
		while (send(partitions[flooder], "flood flood flood flood flood flood flood\n")) {
		}
		console_run();
	}
	CHECK(strstr(fake_host.console, wanted) != NULL);
}

TEST(a_flood_does_not_keep_the_terminal)
{
	check_flood(0);
	check_flood(1);
}

static unsigned put_count;

static void flood_meanwhile(void)
{
	fake_host.console_len = 0;
	while (send(partitions[0], "flood flood flood flood flood flood flood\n")) {
	}
	if (++put_count > 10000) {
		printf("the turn does not end\n");
		abort();
	}
}

TEST(a_long_line_of_the_log_stays_whole)
{
	static char line[250];

	memset(line, 'w', sizeof(line));
	memcpy(line, "mullion: ", 9);
	memcpy(line + sizeof(line) - 2, "\n", 2);
	two_guests();
	fake_log_offer(line);
	console_run();
	send(partitions[1], "hello\n");
	console_run();
	CHECK(strstr(fake_host.console, "w\r\nother| hello\r\n") != NULL);
	CHECK_EQ(strcspn(strstr(fake_host.console, "mullion"), "\r"), sizeof(line) - 2);
}

/* Serial ports that take all there is slow nobody down. */
TEST(a_turn_ends_while_a_guest_floods)
{
	static const struct config_system system;
	struct partition *p = two_guests();

	fake_host.on_put = flood_meanwhile;
	put_count = 0;
	send(p, "first\n");
	console_run();
	CHECK(put_count > 1 && put_count < 100);
	console_init(&system, 0); /* beside the guest */
	put_count = 0;
	send(p, "first\n");
	fake_host.tsc = 1000000;
	console_run();
	CHECK(put_count > 1 && put_count < 20);
	CHECK_EQ(p->vcpu[0]->console_deadline, 1000000 + host_tsc_hz / 1000);
	fake_host.on_put = NULL;
	console_run();
	send(p, "\n");
	console_run();
	CHECK_EQ(p->vcpu[0]->console_deadline, UINT64_MAX);
}

TEST(a_flood_does_not_silence_the_log)
{
	two_guests();
	fake_host.console_take = 16;
	for (int i = 0; i < 3000; i++) {
		while (send(partitions[0], "flood flood flood flood flood flood flood\n")) {
		}
		if (i == 500) {
			fake_log_offer("mullion: words\n");
		}
		console_run();
	}
	CHECK(strstr(fake_host.console, "mullion: words\r\n") != NULL);
}

TEST(typed_bytes_reach_the_guest)
{
	struct partition *p = two_guests();
	struct bus_access rbr = {.size = 1};

	fake_host.typed = "x";
	console_run();
	vcpu_turn(p->vcpu[0]);
	vuart_ops.access(&p->pc.uart, &rbr);
	CHECK_EQ(rbr.value, 'x');
}

/* A port that always has a byte: each turn ends, and the console CPU comes back; so does the end.
 */
TEST(a_port_that_never_stops_does_not_keep_the_cpu)
{
	static char bytes[1001];
	static struct config_system system;
	struct partition *p = two_guests();

	memset(bytes, 'x', sizeof(bytes) - 1);
	console_init(&system, p->vcpu[0]->cpu);
	fake_host.typed = bytes;
	fake_host.tsc = 1000000;
	console_run();
	CHECK_EQ(strlen(fake_host.typed), 1000 - 256);
	CHECK_EQ(p->vcpu[0]->console_deadline, 1000000 + host_tsc_hz / 1000);
	for (int i = 0; i < 3; i++) {
		console_run();
	}
	CHECK_EQ(*fake_host.typed, 0);
	console_run();
	CHECK_EQ(p->vcpu[0]->console_deadline, UINT64_MAX);
}

/* A port without an interrupt: the console CPU comes back by itself. */
TEST(a_port_without_interrupt_is_polled)
{
	struct partition *p = two_guests();
	static struct config_system system;

	console_init(&system, p->vcpu[0]->cpu);
	console_run();
	CHECK_EQ(p->vcpu[0]->console_deadline, UINT64_MAX);
	fake_host.look_at = 12345;
	console_run();
	CHECK_EQ(p->vcpu[0]->console_deadline, 12345);
}

/* The end comes when the line that tells it is out whole, behind whole lines; no guest can hold it
 * up. */
TEST(the_end_is_told_in_a_line_of_its_own)
{
	struct partition *p = two_guests();

	fake_host.console_take = 1;
	send(p, "a line\n");
	for (int i = 0; i < 5; i++) {
		console_run();
	}
	fake_host.typed = "\x01x";
	fake_log_offer("mullion: ended from the console\n");
	for (int i = 0; i < 200 && !strstr(fake_host.console, "from the consol"); i++) {
		while (send(partitions[1], "flood flood flood flood\n")) {
		}
		console_run();
	}
	CHECK(strstr(fake_host.console, "a line\r\nmullion: ended from the consol") != NULL);
}

/* A guest that has the terminal does not hide the end of all. */
TEST(the_end_is_told_whoever_has_the_terminal)
{
	two_guests();
	fake_host.console_take = 1;
	fake_host.typed = "\x01"
			  "1\x01x";
	fake_log_offer("mullion: ended from the console\n");
	for (int i = 0; i < 300 && !strstr(fake_host.console, "from the consol"); i++) {
		console_run();
	}
	CHECK(strstr(fake_host.console, "---\r\nmullion: ended from the consol") != NULL);
}
