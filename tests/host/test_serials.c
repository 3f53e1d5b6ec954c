/*
 * Serial ports that tables name: drivers/acpi_serial.c on hand-built and hostile SPCR and DBG2, and
 * drivers/uart16550.c on Mullion's own 16550 behind ports and strided memory.
 */
#include "drivers/acpi_serial.h"
#include "drivers/uart16550.h"
#include "hv/host.h"
#include "hv/lib/bytes.h"
#include "hv/vdev/vuart.h"
#include "tests/fake/rng.h"
#include "tests/host/vdev_test.h"

/* --- tables --- */

enum { SPCR_AT = 0x1000, DBG2_AT = 0x2000, SIZE = 0x400 };

static uint8_t spcr[SIZE], dbg2[SIZE];
static struct acpi_info info;
static struct acpi_serial out[ACPI_SERIALS];
static char said[1000];

/* Exact heap copies: the sanitizer sees each byte read past what was asked for. */
static void *copies[64];
static unsigned copied;

static const void *map(void *ctx, hpa_t at, uint64_t len)
{
	const uint8_t *from = at.v == SPCR_AT ? spcr : dbg2;
	void *copy;

	(void)ctx;
	if (len > SIZE) {
		return NULL;
	}
	copy = malloc(len);
	memcpy(copy, from, len);
	copies[copied++] = copy;
	return copy;
}

static void told(const char *line)
{
	strncat(said, line, sizeof(said) - strlen(said) - 1);
}

static unsigned find(void)
{
	unsigned n;

	said[0] = 0;
	memset(out, 0x5a, sizeof(out));
	n = acpi_find_serials(out, &info, map, NULL, told);
	while (copied) {
		free(copies[--copied]);
	}
	return n;
}

static void seal(uint8_t *t)
{
	t[9] = 0;
	t[9] = (uint8_t)-bytes_sum(t, get_le32(t + 4));
}

static void begin(uint8_t *t, const char *name, uint32_t at, uint32_t len)
{
	memset(t, 0, SIZE);
	memcpy(t, name, 4);
	put_le32(t + 4, len);
	memcpy(info.table[info.tables].name, name, 4);
	info.table[info.tables++].at = hpa(at);
	seal(t);
}

static void gas(uint8_t *p, uint8_t space, uint8_t bits, uint8_t access, uint64_t base)
{
	p[0] = space;
	p[1] = bits;
	p[2] = 0;
	p[3] = access;
	put_le64(p + 4, base);
}

static void with_spcr(uint8_t interface, uint8_t space, uint8_t bits, uint8_t access, uint64_t base)
{
	info.tables = 0;
	begin(spcr, "SPCR", SPCR_AT, 80);
	spcr[36] = interface;
	gas(spcr + 40, space, bits, access, base);
	seal(spcr);
}

static void add_device(uint16_t type, uint16_t subtype, uint8_t space, uint8_t bits, uint64_t base)
{
	uint32_t len = get_le32(dbg2 + 4);
	uint8_t *e = dbg2 + len;

	put_le16(e + 1, 22 + 12 + 4);
	e[3] = 1;
	put_le16(e + 12, type);
	put_le16(e + 14, subtype);
	put_le16(e + 18, 22);
	gas(e + 22, space, bits, 0, base);
	put_le32(dbg2 + 4, len + 22 + 12 + 4);
	put_le32(dbg2 + 36, 44);
	put_le32(dbg2 + 40, get_le32(dbg2 + 40) + 1);
	seal(dbg2);
}

TEST(spcr_with_ports)
{
	with_spcr(0, 1, 8, 0, 0x2f8);
	CHECK_EQ(find(), 1);
	CHECK_STR(out[0].table, "SPCR");
	CHECK(!out[0].memory);
	CHECK_EQ(out[0].base, 0x2f8);
	CHECK_EQ(out[0].stride, 1);
	CHECK_STR(said, "");
}

TEST(spcr_in_memory_with_a_stride)
{
	with_spcr(0x12, 0, 32, 3, 0xfe030000);
	CHECK_EQ(find(), 1);
	CHECK(out[0].memory);
	CHECK_EQ(out[0].stride, 4);
	CHECK_EQ(out[0].width, 4);
	with_spcr(0x12, 0, 32, 1, 0xfe030000);
	CHECK_EQ(find(), 1);
	CHECK_EQ(out[0].stride, 4);
	CHECK_EQ(out[0].width, 1);
	with_spcr(0, 0, 0, 0, 0xfe030000);
	CHECK_EQ(find(), 1);
	CHECK_EQ(out[0].stride, 1);
	CHECK_EQ(out[0].width, 1);
}

TEST(spcr_without_a_console)
{
	with_spcr(0, 1, 8, 0, 0);
	CHECK_EQ(find(), 0);
	CHECK_STR(said, "");
	info.tables = 0;
	CHECK_EQ(find(), 0);
	CHECK_STR(said, "");
}

TEST(addresses_that_cannot_be_used)
{
	static const struct {
		uint8_t space, bits, access;
		uint64_t base;
	} bad[] = {
		{2, 8, 1, 0x1000},		 /* configuration space */
		{1, 8, 1, 0x10000},		 /* no such port */
		{1, 8, 1, 0xfffc},		 /* reaches beyond the ports */
		{0, 32, 3, 0xfe030002},		 /* not aligned */
		{0, 8, 3, 0xfe030000},		 /* an access would meet four registers */
		{0, 32, 4, 0xfe030000},		 /* 64 bits wide */
		{0, 32, 9, 0xfe030000},		 /* no such code */
		{0, 32, 3, 1ull << 52},		 /* beyond all addresses */
		{0, 32, 3, 0xfffffffffffffff0u}, /* wraps */
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		with_spcr(0x12, bad[i].space, bad[i].bits, bad[i].access, bad[i].base);
		CHECK_EQ(find(), 0);
		CHECK(strstr(said, "SPCR: the serial port's address") != NULL);
	}
}

TEST(spcr_of_another_kind)
{
	with_spcr(3, 0, 32, 3, 0x9000000); /* a PL011 */
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "SPCR: names a serial port that is no 16550") != NULL);
}

TEST(broken_tables_are_told_and_left_out)
{
	with_spcr(0, 1, 8, 0, 0x2f8);
	spcr[50]++;
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "SPCR") && strstr(said, "checksum"));
	with_spcr(0, 1, 8, 0, 0x2f8);
	put_le32(spcr + 4, 79);
	seal(spcr);
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "length 0x4f") != NULL);
	with_spcr(0, 1, 8, 0, 0x2f8);
	put_le32(spcr + 4, 0x1000);
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "cannot be read to its end") != NULL);
}

TEST(dbg2_lists_several)
{
	with_spcr(0, 1, 8, 0, 0x3f8);
	begin(dbg2, "DBG2", DBG2_AT, 44);
	add_device(0x8000, 0, 1, 8, 0x3f8); /* SPCR's again */
	add_device(0x8003, 0, 1, 8, 0x500); /* a network card */
	add_device(0x8000, 0x12, 0, 32, 0xfe030000);
	CHECK_EQ(find(), 2);
	CHECK_STR(out[0].table, "SPCR");
	CHECK_STR(out[1].table, "DBG2");
	CHECK_EQ(out[1].stride, 4);
	CHECK_STR(said, "");
}

TEST(dbg2_with_lengths_that_lie)
{
	info.tables = 0;
	begin(dbg2, "DBG2", DBG2_AT, 44);
	add_device(0x8000, 0, 1, 8, 0x2f8);
	put_le32(dbg2 + 40, 1000000); /* devices */
	seal(dbg2);
	CHECK_EQ(find(), 1);
	CHECK(strstr(said, "less devices") != NULL);
	put_le32(dbg2 + 40, 1);
	put_le16(dbg2 + 44 + 1, 0);
	seal(dbg2);
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "length of a device") != NULL);
	put_le16(dbg2 + 44 + 1, 39);
	seal(dbg2);
	CHECK_EQ(find(), 0);
	put_le16(dbg2 + 44 + 1, 38);
	put_le16(dbg2 + 44 + 18, 27); /* addresses: one byte too far */
	seal(dbg2);
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "addresses lie outside") != NULL);
	put_le32(dbg2 + 36, 20);
	seal(dbg2);
	CHECK_EQ(find(), 0);
	CHECK(strstr(said, "inside its header") != NULL);
	put_le32(dbg2 + 36, 0xfffffff0);
	seal(dbg2);
	CHECK_EQ(find(), 0);
}

TEST(hostile_tables)
{
	for (unsigned round = 0; round < 20000; round++) {
		with_spcr(0x12, 0, 32, 3, 0xfe030000);
		begin(dbg2, "DBG2", DBG2_AT, 44);
		add_device(0x8000, 0, 1, 8, 0x2f8);
		add_device(0x8000, 0x12, 0, 32, 0xfe040000);
		for (uint64_t n = rng_below(6); n; n--) {
			spcr[36 + rng_below(44)] = (uint8_t)rng_next();
			dbg2[36 + rng_below(90)] = (uint8_t)rng_next();
		}
		seal(spcr);
		seal(dbg2);
		for (unsigned n = find(), i = 0; i < n; i++) {
			CHECK(out[i].base && out[i].width && out[i].width <= out[i].stride);
			CHECK(out[i].memory || out[i].base <= 0xffff - 7);
		}
	}
}

/* --- the driver --- */

static struct vuart device;
static volatile uint8_t *window; /* where its registers are, by this stride and width */
static unsigned stride, width;
static bool broken, old; /* old: without FIFOs */
static unsigned in_fifo; /* bytes written since the driver has looked */

static struct edges edges;

static void nobody(void *ctx)
{
	(void)ctx;
}

static uint8_t reg_read(uint64_t offset, unsigned size)
{
	CHECK_EQ(size, width);
	CHECK_EQ(offset % stride, 0);
	CHECK(offset / stride < 8);
	in_fifo = offset / stride == 5 ? 0 : in_fifo;
	if (old && offset / stride == 2) {
		return (uint8_t)vdev_read(&vuart_ops, &device, 2, 1) & 0x3f;
	}
	return broken ? 0xff : (uint8_t)vdev_read(&vuart_ops, &device, offset / stride, 1);
}

static void reg_write(uint64_t offset, unsigned size, uint64_t value)
{
	CHECK_EQ(size, width);
	CHECK_EQ(offset % stride, 0);
	if (offset == 0 && !(device.lcr & 0x80)) {
		CHECK(++in_fifo <= (old ? 1 : 16));
	}
	vdev_write(&vuart_ops, &device, offset / stride, 1, value & 0xff);
}

uint32_t host_in(uint16_t port, unsigned size)
{
	return reg_read(port - 0x3f8u, size);
}

void host_out(uint16_t port, unsigned size, uint32_t value)
{
	reg_write(port - 0x3f8u, size, value);
}

uint64_t host_mmio_read(const volatile void *at, unsigned size)
{
	return reg_read((uint64_t)((const volatile uint8_t *)at - window), size);
}

void host_mmio_write(volatile void *at, unsigned size, uint64_t value)
{
	reg_write((uint64_t)((volatile uint8_t *)at - window), size, value);
}

static void check_uart(struct uart *u)
{
	uint8_t buf[64];

	stride = u->stride;
	width = u->width;
	window = u->mmio;
	broken = false;
	edges = (struct edges){0};
	vuart_init(&device, 4, edges_sink(&edges), nobody, NULL);
	device.dlm = 5;
	CHECK_EQ(uart_init(u), UART_WORKS);
	CHECK_EQ(device.dlm, u->keep_speed ? 5 : 0);
	CHECK_EQ(device.lcr, 3);
	CHECK(uart_ready(u));
	CHECK(uart_put(u, "a line that is longer than one FIFO", 35));
	CHECK_EQ(vuart_take(&device, buf, sizeof(buf)), 35);
	CHECK(!memcmp(buf, "a line that is longer than one FIFO", 35));
	CHECK_EQ(uart_read(u), -1);
	vuart_offer(&device, 'k');
	vuart_update(&device);
	CHECK_EQ(uart_read(u), 'k');
	uart_irq_enable(u, true);
	CHECK_EQ(device.ier, 3);
	uart_irq_disable(u);
	CHECK_EQ(device.ier, 0);
	broken = true;
	CHECK_EQ(uart_init(u), UART_ABSENT);
	CHECK(!uart_put(u, "x", 1));
	CHECK_EQ(uart_read(u), -1);
}

TEST(the_driver_behind_ports)
{
	check_uart(&(struct uart){.port = 0x3f8, .stride = 1, .width = 1});
}

/* What is written to a transmitter that is busy is lost. */
TEST(a_uart_without_fifos_gets_one_byte_at_a_time)
{
	old = true;
	check_uart(&(struct uart){.port = 0x3f8, .stride = 1, .width = 1});
	old = false;
}

TEST(the_driver_in_memory)
{
	static uint8_t space[64];

	check_uart(&(struct uart){.mmio = space, .stride = 1, .width = 1});
	check_uart(&(struct uart){.mmio = space, .stride = 4, .width = 4, .keep_speed = true});
	check_uart(&(struct uart){.mmio = space, .stride = 4, .width = 1});
	check_uart(&(struct uart){.mmio = space, .stride = 2, .width = 2});
}
