/*
 * QEMU's edu device (1234:11e8), passed through: registers, BARs that move, MSI, INTx, DMA.
 *
 * Words on the command line: `dma` does DMA too, `count=N` interrupts by MSI, `cpus=2` moves them
 * between two CPUs, `hostile` does what a driver never would, `sweep` has the device read and write
 * all over the machine, at `place1=` to `place4=` first, `rogue` does so once and waits, `unplug` goes
 * on when the device is taken out, resets, and starts without it.
 */
#include "guest.h"

GUEST("edu");

enum { EDU = 0x11e81234, VECTOR = 0x50, OTHER_VECTOR = 0x61, INTX_VECTOR = 0x71 };
enum { ID = 0x00, LIVENESS = 0x04, FACTORIAL = 0x08, STATUS = 0x20, RAISE = 0x60, ACK = 0x64,
       DMA_SOURCE = 0x80, DMA_DESTINATION = 0x88, DMA_COUNT = 0x90, DMA_COMMAND = 0x98,
       BUFFER = 0x40000 };
enum { IO = 1, MEMORY = 2, MASTER = 4, INTX_OFF = 0x400 };

static unsigned devfn, msi;
static uintptr_t bar;
static volatile unsigned taken, other, lines, by_cpu[2];

static uint32_t config_read(unsigned reg)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	return in32(0xcfc) >> 8 * (reg & 3);
}

static void config_write(unsigned reg, uint32_t value)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	out32(0xcfc, value);
}

static void config_write16(unsigned reg, uint16_t value)
{
	out32(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
	out16((uint16_t)(0xcfc + (reg & 2)), value);
}

static void on_msi(struct frame *f)
{
	(void)f;
	by_cpu[lapic_id() & 1]++;
	mmio_write(bar + ACK, mmio_read(bar + 0x24));
	taken++; /* the other CPU may be waiting for it, to look at the rest */
	lapic_eoi();
}

static void on_other(struct frame *f)
{
	(void)f;
	by_cpu[lapic_id() & 1]++;
	mmio_write(bar + ACK, mmio_read(bar + 0x24));
	other++;
	lapic_eoi();
}

/* Twice with the device still asking: the line must come again after the EOI. */
static void on_line(struct frame *f)
{
	(void)f;
	lines++;
	if (lines % 3 == 0) {
		mmio_write(bar + ACK, mmio_read(bar + 0x24));
	}
	lapic_eoi();
}

/* False: it is not there, and nothing else is. */
static bool find_device(void)
{
	unsigned found = 0;

	for (devfn = 8; devfn < 256; devfn += 8) {
		if (config_read(0) == EDU) {
			break;
		}
		found += config_read(0) != 0xffffffff;
	}
	CHECK_EQ(found, 0);
	if (devfn >= 256) {
		print("no edu\n");
		return false;
	}
	print("edu at 00:%02x.0, 0 other functions\n", devfn >> 3);
	return true;
}

static void check_header(void)
{
	uint32_t before;

	before = config_read(0x10);
	CHECK(before != 0);
	config_write16(4, 0);
	config_write(0x10, 0xffffffff);
	CHECK_EQ(config_read(0x10), 0xfff00000);
	config_write(0x10, before);
	CHECK_EQ(config_read(0x10), before);
	config_write(0x30, 0xffffffff);
	CHECK_EQ(config_read(0x30), 0); /* no ROM */
	bar = before & ~15u;
	CHECK_EQ(mmio_read(bar + ID), 0xffffffff); /* nothing is decoded */
	config_write16(4, MEMORY);
	CHECK_EQ(mmio_read(bar + ID), 0x010000ed);
	mmio_write(bar + LIVENESS, 0x12345678);
	CHECK_EQ(mmio_read(bar + LIVENESS), ~0x12345678u);
	mmio_write(bar + FACTORIAL, 10);
	while (mmio_read(bar + STATUS) & 1) {
		pause();
	}
	CHECK_EQ(mmio_read(bar + FACTORIAL), 3628800);
}

static void move_bar(uintptr_t to)
{
	uintptr_t from = bar;

	config_write(0x10, (uint32_t)to);
	CHECK_EQ(mmio_read(from + ID), 0xffffffff);
	CHECK_EQ(mmio_read(to + ID), 0x010000ed);
	bar = to;
}

/* With decoding on, as an operating system that knows what it does may. */
static void check_moves(void)
{
	uintptr_t home = bar;

	for (unsigned i = 0; i < 64; i++) {
		move_bar(0xc0000000u + i * 0x00100000u);
	}
	move_bar(0xd7f00000u);
	move_bar(home);
}

static void find_msi(void)
{
	CHECK(config_read(6) & 0x10);
	for (msi = config_read(0x34) & 0xff; msi; msi = config_read(msi + 1) & 0xff) {
		if ((config_read(msi) & 0xff) == 5) {
			return;
		}
	}
	guest_fail("no MSI capability");
}

static void set_msi(unsigned cpu, unsigned vector)
{
	config_write(msi + 4, 0xfee00000u | cpu << 12);
	config_write16(msi + 12, (uint16_t)vector);
}

static void enable_msi(bool on)
{
	config_write16(msi + 2, (uint16_t)((config_read(msi + 2) & ~0x71u) | on));
}

static void raise(void)
{
	mmio_write(bar + RAISE, 1);
}

static bool wait_for(volatile unsigned *what, unsigned count)
{
	for (unsigned i = 0; i < 200000 && *what < count; i++) {
		interrupts_on();
		delay_us(50);
		interrupts_off();
	}
	return *what == count;
}

static void check_msi(unsigned count)
{
	config_write16(4, MEMORY | MASTER | INTX_OFF); /* a message is a write of the device */
	config_write(msi + 8, 0);
	set_msi(lapic_id(), VECTOR);
	enable_msi(true);
	CHECK_EQ(config_read(msi + 4), 0xfee00000u | lapic_id() << 12); /* as written, not as translated */
	CHECK_EQ(config_read(msi + 12) & 0xffff, VECTOR);
	for (unsigned i = 1; i <= count; i++) {
		raise();
		if (!wait_for(&taken, i)) {
			guest_fail("MSI %u: %u taken", i, taken);
		}
	}
	set_msi(lapic_id(), OTHER_VECTOR);
	raise();
	CHECK(wait_for(&other, 1));
	CHECK_EQ(taken, count);
	enable_msi(false);
	raise();
	interrupts_on();
	delay_us(2000);
	interrupts_off();
	CHECK_EQ(other, 1);
	mmio_write(bar + ACK, 0xffffffff);
}

static volatile bool second_runs;

static void second_cpu(unsigned index)
{
	(void)index;
	load_idt();
	lapic_enable();
	second_runs = true;
	for (;;) {
		halt();
	}
}

/* Moved again and again while it comes: none is lost. */
static void check_retargeting(void)
{
	unsigned before;

	smp_start(0x8, 2, second_cpu);
	while (!second_runs) {
		pause();
	}
	config_write16(4, MEMORY | MASTER | INTX_OFF);
	taken = by_cpu[0] = by_cpu[1] = 0;
	set_msi(0, VECTOR);
	enable_msi(true);
	for (unsigned i = 0; i < 400; i++) {
		before = taken;
		set_msi(i & 1, VECTOR);
		raise();
		if (!wait_for(&taken, before + 1)) {
			guest_fail("interrupt %u did not come: %u and %u", i, by_cpu[0], by_cpu[1]);
		}
	}
	print("moved: %u and %u interrupts\n", by_cpu[0], by_cpu[1]);
	CHECK_EQ(by_cpu[0], 200);
	CHECK_EQ(by_cpu[1], 200);
	enable_msi(false);
}

static void check_intx(void)
{
	unsigned pin = config_read(0x3d) & 0xff, gsi = 16 + ((devfn >> 3) + pin - 1) % 8;

	CHECK_EQ(pin, 1);
	ioapic_route(gsi, (uint64_t)lapic_id() << 56 | 1 << 15 | 1 << 13 | INTX_VECTOR);
	config_write16(4, MEMORY);
	for (unsigned i = 1; i <= 20; i++) {
		raise();
		if (!wait_for(&lines, 3 * i)) {
			guest_fail("INTx %u: %u taken", i, lines);
		}
	}
	config_write16(4, MEMORY | INTX_OFF);
	raise();
	interrupts_on();
	delay_us(2000);
	interrupts_off();
	CHECK_EQ(lines, 60);
	mmio_write(bar + ACK, 0xffffffff);
	ioapic_route(gsi, LVT_MASKED);
	print("INTx: %u on GSI %u\n", lines, gsi);
}

static void dma(uint64_t from, uint64_t to, uint32_t count, uint32_t command)
{
	*(volatile uint64_t *)(bar + DMA_SOURCE) = from;
	*(volatile uint64_t *)(bar + DMA_DESTINATION) = to;
	mmio_write(bar + DMA_COUNT, count);
	mmio_write(bar + DMA_COMMAND, command | 1);
	while (mmio_read(bar + DMA_COMMAND) & 1) {
		pause();
	}
}

static uint32_t source[256], target[256];

static void check_dma(void)
{
	for (unsigned i = 0; i < 256; i++) {
		source[i] = i * 0x01010101u;
		target[i] = 0;
	}
	config_write16(4, MEMORY | MASTER | INTX_OFF);
	dma((uintptr_t)source, BUFFER, sizeof(source), 0);
	dma(BUFFER, (uintptr_t)target, sizeof(target), 2);
	for (unsigned i = 0; i < 256; i++) {
		CHECK_EQ(((volatile uint32_t *)target)[i], source[i]);
	}
	((volatile uint32_t *)target)[0] = 0x5a5a5a5a;
	((volatile uint32_t *)target)[1] = 0;
	config_write16(4, MEMORY | INTX_OFF); /* no master: nothing moves */
	dma(BUFFER, (uintptr_t)target, sizeof(target), 2);
	CHECK_EQ(((volatile uint32_t *)target)[0], 0x5a5a5a5a);
	print("DMA of %u bytes there and back\n", (unsigned)sizeof(source));
}

static unsigned find_places(uint64_t *places)
{
	static const char *const given[] = {"place1", "place2", "place3", "place4"};
	static const uint32_t devices[] = {0xb0000000, 0xfec00000, 0xfed80000, 0xfed90000, 0xfd000000};
	uint64_t ram = (uint64_t)multiboot()->mem_upper * 1024 + 0x100000;
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(given) / sizeof(*given); i++) {
		places[n] = guest_option(given[i], 0);
		n += places[n] != 0;
	}
	for (uint64_t at = (ram + 0x1ffffff) & ~0x1ffffffull; at < 0x20000000; at += 0x2000000) {
		places[n++] = at;
	}
	for (unsigned i = 0; i < sizeof(devices) / sizeof(*devices); i++) {
		places[n++] = devices[i];
	}
	return n;
}

/*
 * Writes and reads what is not this guest's, as the device would reach it: RAM, other devices. None
 * may give anything but zeroes and what is here anyway. Who owns the places sees that nothing changed.
 */
static void sweep(void)
{
	uint64_t places[32];
	unsigned n = find_places(places);

	config_write16(4, MEMORY | MASTER | INTX_OFF);
	for (unsigned k = 0; k < 16; k++) {
		source[k] = 0xbad00000 + k;
	}
	dma((uintptr_t)source, BUFFER, 64, 0);
	for (unsigned i = 0; i < n; i++) {
		dma(BUFFER, places[i], 64, 2);
		dma(places[i], BUFFER, 64, 0);
		dma(BUFFER, (uintptr_t)target, 64, 2);
		for (unsigned k = 0; k < 16; k++) {
			uint32_t got = ((volatile uint32_t *)target)[k];

			if (got && got != source[k]) {
				guest_fail("0x%llx gave %x", (unsigned long long)places[i], got);
			}
		}
	}
	print("swept %u places\n", n);
}

/* Whatever a guest does here, it harms itself alone. */
static void be_hostile(void)
{
	static const uint32_t places[] = {0x01000000, 0xfee00000, 0xfec00000, 0xe0000000, 0xfff00000, 0};
	static const uint32_t addresses[] = {0, 0x1000, 0xfee00000, 0xfeefffff, 0xfed00000, 0xffffffff};
	uintptr_t home = bar;

	for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
		config_write(0x10, places[i]);
		CHECK_EQ(ioapic_read(1) >> 16 & 0xff, 23);
		CHECK_EQ(lapic_read(LAPIC_VERSION) & 0xff, 0x14);
	}
	config_write(0x10, (uint32_t)home);
	CHECK_EQ(mmio_read(home + ID), 0x010000ed);
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		for (unsigned data = 0; data < 0x10000; data += 0x1737) {
			/* Vectors that no LAPIC takes: others would meet the second CPU. */
			config_write(msi + 4, addresses[i]);
			config_write16(msi + 12, (uint16_t)(data & 0xf80f));
			enable_msi(true);
			raise();
			mmio_write(bar + ACK, 0xffffffff);
		}
	}
	enable_msi(false);
	for (unsigned i = 0; i < 512; i++) {
		config_write16(4, (uint16_t)(i * 0x35));
		config_write(0x40 + (i * 4) % 0xc0, i * 0x9e3779b9u);
	}
	config_write16(4, MEMORY);
	config_write(0x10, (uint32_t)home);
	CHECK_EQ(mmio_read(home + ID), 0x010000ed);
	print("hostile: done\n");
}

/* One write where nobody let it; who is stopped for that does not come back. */
static void be_rogue(void)
{
	config_write16(4, MEMORY | MASTER | INTX_OFF);
	dma(BUFFER, 0x30000000, 64, 2);
	delay_us(3000000);
	print("nobody minds\n");
}

/* What a driver goes on to do that has not noticed yet that its device is gone. */
static void outlive(void)
{
	uint64_t limit = rdtsc() + 240 * tsc_hz();
	uintptr_t home = bar;

	config_write16(4, MEMORY | MASTER);
	set_msi(lapic_id(), VECTOR);
	enable_msi(true);
	print("ready\n");
	while (config_read(0) == EDU) {
		raise();
		mmio_write(bar + ACK, 0xffffffff);
		if (rdtsc() > limit) {
			guest_fail("nobody took the device away");
		}
	}
	for (unsigned i = 0; i < 500; i++) {
		raise();
		mmio_write(bar + ACK, mmio_read(bar + 0x24));
		config_write16(4, (uint16_t)(i * 0x35));
		config_write(msi + 4, 0xfee00000 | (i & 1) << 12);
		enable_msi(i & 2);
		config_write(0x10, (uint32_t)home + (i & 3) * 0x100000);
		CHECK_EQ(config_read(0), 0xffffffff);
		config_read(i % 64 * 4);
	}
	print("gone, and this guest goes on\n");
	out8(0xcf9, 6);
	guest_fail("still runs after a reset");
}

void guest_main(void)
{
	unsigned count = (unsigned)guest_option("count", 200);

	on_interrupt(VECTOR, on_msi);
	on_interrupt(OTHER_VECTOR, on_other);
	on_interrupt(INTX_VECTOR, on_line);
	(void)tsc_hz();
	lapic_enable();
	if (!find_device()) {
		CHECK(guest_has_word("unplug"));
		return;
	}
	check_header();
	if (guest_has_word("rogue")) {
		be_rogue();
		return;
	}
	check_moves();
	find_msi();
	check_msi(count);
	check_intx();
	if (guest_option("cpus", 1) == 2) {
		check_retargeting();
	}
	if (guest_has_word("dma")) {
		check_dma();
	}
	if (guest_has_word("sweep")) {
		sweep();
	}
	if (guest_has_word("unplug")) {
		outlive();
	}
	if (guest_has_word("hostile")) {
		be_hostile();
	}
	print("MSI: %u taken\n", taken + other);
}
