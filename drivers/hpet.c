/*
 * The HPET: see hpet.h (IA-PC HPET Specification 1.0a, "Register Overview"). Called by boot/main.c
 * and tsc.c, once. Pure but for the registers, which come through host.h. No state.
 *
 * In legacy replacement mode it sits on the lines of the 8254 and the RTC; comparators in other
 * modes drive I/O APIC pins that a passed-through device may share, or send messages of their own.
 */
#include "drivers/hpet.h"
#include "drivers/acpi_part.h"
#include "hv/cpu_facts.h"
#include "hv/host.h"
#include "hv/lib/bytes.h"
#include "hv/log.h"

enum { HPET_TABLE = 56, HPET_SPACE = 40, HPET_ADDRESS = 44, SPACE_MEMORY = 0 };
enum {
	CAPABILITIES = 0x00,
	PERIOD = 0x04,
	CONFIGURATION = 0x10,
	COUNTER = 0xf0,
	TIMER_0 = 0x100,
	TIMER_STEP = 0x20,
	REGISTERS = 0x400
};
enum { CAPABILITIES_LAST = FIELD(12, 8), CAPABILITIES_VENDOR = 16 };
/* Of the counter, in femtoseconds; the specification allows no slower one. */
enum { PERIOD_MIN = 1000000, PERIOD_MAX = 100000000 };
#define FEMTOSECONDS 1000000000000000ull
enum { CONFIGURATION_ENABLE = BIT(0), CONFIGURATION_LEGACY = BIT(1) };
enum { TIMER_INTERRUPT = BIT(2), TIMER_MESSAGE = BIT(14) };

static volatile uint8_t *map_registers(const struct acpi_info *a, acpi_map_fn map, void *ctx,
				       uint64_t *base)
{
	struct refusal why = {{0}};
	struct acpi_reader reader = {.map = map, .ctx = ctx, .r = &why};
	hpa_t at = acpi_find_table(a, "HPET");
	struct acpi_table t;

	if (!at.v) {
		return NULL;
	}
	if (!acpi_map_table(&reader, at, "HPET", HPET_TABLE, &t)) {
		log_line("%s; the HPET is left alone", why.text);
		return NULL;
	}
	*base = get_le64(t.p + HPET_ADDRESS);
	if (t.p[HPET_SPACE] != SPACE_MEMORY || !*base || *base % 0x400 ||
	    *base >= cpu_address_limit()) {
		log_line("ACPI: HPET at 0x%lx: its registers are nowhere; it is left alone", at.v);
		return NULL;
	}
	return host_map_mmio(hpa(*base), REGISTERS);
}

/* The registers, and that they answer. */
static volatile uint8_t *find(const struct acpi_info *a, acpi_map_fn map, void *ctx, uint64_t *base)
{
	volatile uint8_t *registers = map_registers(a, map, ctx, base);
	uint32_t capabilities;

	if (!registers) {
		return NULL;
	}
	capabilities = (uint32_t)host_mmio_read(registers + CAPABILITIES, 4);
	if (capabilities == ~0u || !(capabilities >> CAPABILITIES_VENDOR)) {
		log_line("HPET at 0x%lx: does not answer", *base);
		return NULL;
	}
	return registers;
}

/* True: some of the bits were on. */
static bool clear(volatile uint8_t *at, uint32_t bits)
{
	uint32_t v = (uint32_t)host_mmio_read(at, 4);

	if (v & bits) {
		host_mmio_write(at, 4, v & ~bits);
	}
	return v & bits;
}

void hpet_silence(const struct acpi_info *a, acpi_map_fn map, void *ctx)
{
	uint64_t base;
	volatile uint8_t *registers = find(a, map, ctx, &base);
	uint32_t capabilities;
	bool was_on = false;

	if (!registers) {
		return;
	}
	capabilities = (uint32_t)host_mmio_read(registers + CAPABILITIES, 4);
	for (unsigned i = 0; i <= field_get(CAPABILITIES_LAST, capabilities); i++) {
		was_on |= clear(registers + TIMER_0 + i * TIMER_STEP,
				TIMER_INTERRUPT | TIMER_MESSAGE);
	}
	was_on |= clear(registers + CONFIGURATION, CONFIGURATION_LEGACY);
	log_line("HPET at 0x%lx: its interrupts %s off", base,
		 was_on ? "were left on; now" : "are");
}

bool hpet_clock_start(struct hpet_clock *c, const struct acpi_info *a, acpi_map_fn map, void *ctx)
{
	uint64_t base;
	volatile uint8_t *registers = find(a, map, ctx, &base);
	uint32_t period, configuration;

	if (!registers) {
		return false;
	}
	period = (uint32_t)host_mmio_read(registers + PERIOD, 4);
	if (period < PERIOD_MIN || period > PERIOD_MAX) {
		log_line("HPET at 0x%lx: a tick of %u fs cannot be", base, period);
		return false;
	}
	configuration = (uint32_t)host_mmio_read(registers + CONFIGURATION, 4);
	if (!(configuration & CONFIGURATION_ENABLE)) {
		host_mmio_write(registers + CONFIGURATION, 4, configuration | CONFIGURATION_ENABLE);
	}
	*c = (struct hpet_clock){registers + COUNTER, (uint32_t)(FEMTOSECONDS / period)};
	return true;
}
