/*
 * Reads SPCR and DBG2: see acpi_serial.h. Called by boot/serials.c, once. Like acpi.c it believes
 * no length.
 */
#include "drivers/acpi_serial.h"
#include "drivers/acpi_part.h"
#include "hv/lib/bytes.h"
#include "hv/lib/printf.h"

/* What both tables call a port. */
enum serial_interface {
	SERIAL_16550 = 0,
	SERIAL_16450 = 1,
	SERIAL_16550_GAS = 0x12, /* the registers are where the address structure says */
};

enum spcr_offset { SPCR_INTERFACE = 36, SPCR_BASE = 40, SPCR_SIZE = 80 };
enum dbg2_offset { DBG2_DEVICES = 36, DBG2_COUNT = 40, DBG2_SIZE = 44 };
enum dbg2_device {
	DEVICE_LENGTH = 1,
	DEVICE_ADDRESSES = 3,
	DEVICE_TYPE = 12,
	DEVICE_SUBTYPE = 14,
	DEVICE_BASES = 18,
	DEVICE_SIZE = 22,
};
enum { DBG2_SERIAL = 0x8000 };

/* Generic Address Structure. */
enum gas { GAS_SPACE = 0, GAS_BITS = 1, GAS_ACCESS = 3, GAS_ADDRESS = 4, GAS_SIZE = 12 };
enum { SPACE_MEMORY = 0, SPACE_PORTS = 1, REGISTERS = 8 };

struct serial_reader {
	struct acpi_serial *out;
	unsigned count;
	void (*told)(const char *line);
};

static void tell(const struct serial_reader *s, const char *table, const char *what)
{
	char line[120];

	fmt_print(line, sizeof(line), "ACPI: %s: %s", table, what);
	s->told(line);
}

/* Bytes of an access: 1 to 3 stand for bytes, words and dwords, 0 for the registers' size. */
static uint8_t access_width(uint8_t code, uint8_t stride)
{
	static const uint8_t width[] = {0, 1, 2, 4};

	return code == 0 ? stride : code < sizeof(width) ? width[code] : 0;
}

static bool decode(struct acpi_serial *p, const uint8_t *gas)
{
	uint64_t limit;

	p->memory = gas[GAS_SPACE] == SPACE_MEMORY;
	p->base = get_le64(gas + GAS_ADDRESS);
	/* Old firmware leaves the size out; then registers are bytes side by side. */
	p->stride = gas[GAS_BITS] == 32 ? 4 : gas[GAS_BITS] == 16 ? 2 : 1;
	p->width = p->memory ? access_width(gas[GAS_ACCESS], p->stride) : 1;
	limit = p->memory ? BIT(52) : 0x10000;
	return gas[GAS_SPACE] <= SPACE_PORTS && p->base && p->base < limit &&
	       limit - p->base >= REGISTERS * p->stride && p->width && p->width <= p->stride &&
	       p->base % p->width == 0;
}

static bool known(const struct serial_reader *s, const struct acpi_serial *p)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (s->out[i].memory == p->memory && s->out[i].base == p->base) {
			return true;
		}
	}
	return false;
}

static void take(struct serial_reader *s, const char *table, uint32_t interface, const uint8_t *gas)
{
	struct acpi_serial p = {.base = 0};

	memcpy(p.table, table, sizeof(p.table));
	if (interface != SERIAL_16550 && interface != SERIAL_16450 &&
	    interface != SERIAL_16550_GAS) {
		tell(s, table, "names a serial port that is no 16550");
	} else if (!decode(&p, gas)) {
		tell(s, table, "the serial port's address is none that can be used");
	} else if (!known(s, &p) && s->count < ACPI_SERIALS) {
		s->out[s->count++] = p;
	}
}

static void take_spcr(struct serial_reader *s, const struct acpi_table *t)
{
	/* Firmware whose console is off leaves the address empty. */
	if (get_le64(t->p + SPCR_BASE + GAS_ADDRESS)) {
		take(s, "SPCR", t->p[SPCR_INTERFACE], t->p + SPCR_BASE);
	}
}

/* One device of DBG2; its length is checked. */
static void take_device(struct serial_reader *s, const uint8_t *e, uint32_t len)
{
	uint32_t bases = get_le16(e + DEVICE_BASES);

	if (get_le16(e + DEVICE_TYPE) != DBG2_SERIAL || !e[DEVICE_ADDRESSES]) {
		return;
	}
	if (bases < DEVICE_SIZE || !bytes_within(bases, GAS_SIZE, len)) {
		tell(s, "DBG2", "a device's addresses lie outside of it");
		return;
	}
	take(s, "DBG2", get_le16(e + DEVICE_SUBTYPE), e + bases);
}

static void take_dbg2(struct serial_reader *s, const struct acpi_table *t)
{
	uint32_t at = get_le32(t->p + DBG2_DEVICES), left = get_le32(t->p + DBG2_COUNT), len;

	if (at < DBG2_SIZE) {
		tell(s, "DBG2", "its devices begin inside its header");
		return;
	}
	for (; left; left--, at += len) {
		if (!bytes_within(at, DEVICE_SIZE, t->len)) {
			tell(s, "DBG2", "has less devices than it says");
			return;
		}
		len = get_le16(t->p + at + DEVICE_LENGTH);
		if (len < DEVICE_SIZE || !bytes_within(at, len, t->len)) {
			tell(s, "DBG2", "the length of a device does not fit");
			return;
		}
		take_device(s, t->p + at, len);
	}
}

static void read(struct serial_reader *s, const struct acpi_reader *r, hpa_t at, const char *name,
		 uint32_t least, void (*use)(struct serial_reader *, const struct acpi_table *))
{
	struct acpi_table t;

	if (!at.v) {
		return;
	}
	r->r->text[0] = 0;
	if (acpi_map_table(r, at, name, least, &t)) {
		use(s, &t);
	} else {
		s->told(r->r->text);
	}
}

unsigned acpi_find_serials(struct acpi_serial out[ACPI_SERIALS], const struct acpi_info *a,
			   acpi_map_fn map, void *ctx, void (*told)(const char *line))
{
	struct refusal why = {{0}};
	struct acpi_reader reader = {.map = map, .ctx = ctx, .r = &why};
	struct serial_reader s = {.out = out, .told = told};

	read(&s, &reader, acpi_find_table(a, "SPCR"), "SPCR", SPCR_SIZE, take_spcr);
	read(&s, &reader, acpi_find_table(a, "DBG2"), "DBG2", DBG2_SIZE, take_dbg2);
	return s.count;
}
