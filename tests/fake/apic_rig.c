/* See apic_rig.h. */
#include "tests/fake/apic_rig.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct rig rig;
static char taken[RIG_LOG];

static void note(const char *fmt, ...)
{
	size_t len = strlen(rig.log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(rig.log + len, sizeof(rig.log) - len, fmt, ap);
	va_end(ap);
	strncat(rig.log, ", ", sizeof(rig.log) - strlen(rig.log) - 1);
}

static void on_intr(void *ctx, unsigned index)
{
	(void)ctx;
	note("intr %u", index);
}

static void on_nmi(void *ctx, unsigned index)
{
	(void)ctx;
	note("nmi %u", index);
}

static void on_init(void *ctx, unsigned index)
{
	(void)ctx;
	note("init %u", index);
}

static void on_sipi(void *ctx, unsigned index, uint8_t vector)
{
	(void)ctx;
	note("sipi %u %x", index, vector);
}

static void on_extint(void *ctx, unsigned index)
{
	(void)ctx;
	note("extint %u", index);
}

static void on_eoi(void *ctx, uint8_t vector)
{
	(void)ctx;
	note("eoi %x", vector);
	if (rig.ioapic) {
		vioapic_eoi(rig.ioapic, vector);
	}
}

void rig_start(unsigned n)
{
	memset(&rig, 0, sizeof(rig));
	rig.now = 1000000;
	rig.bus = (struct apic_bus){.tsc_deadline = true,
				    .maxphyaddr = 40,
				    .ctx = &rig,
				    .intr = on_intr,
				    .nmi = on_nmi,
				    .init = on_init,
				    .sipi = on_sipi,
				    .extint = on_extint,
				    .eoi = on_eoi};
	for (unsigned i = 0; i < n; i++) {
		vlapic_init(&rig.lapic[i], &rig.bus, i, i, i == 0, &rig.tsc_offset[i]);
		rig_write(i, 0xf0, 0x1ff);
	}
}

void rig_x2apic(unsigned index)
{
	rig_wrmsr(index, 0x1b, rig_rdmsr(index, 0x1b) | 0xc00);
}

const char *rig_take_log(void)
{
	size_t len = strlen(rig.log);

	memcpy(taken, rig.log, sizeof(taken));
	if (len) {
		taken[len - 2] = '\0';
	}
	rig.log[0] = '\0';
	return taken;
}

uint32_t rig_read(unsigned index, unsigned offset)
{
	struct bus_access a = {.offset = offset, .size = 4, .now = rig.now};

	vlapic_access(&rig.lapic[index], &a);
	return (uint32_t)a.value;
}

void rig_write(unsigned index, unsigned offset, uint32_t value)
{
	struct bus_access a = {
		.offset = offset, .size = 4, .write = true, .value = value, .now = rig.now};

	vlapic_access(&rig.lapic[index], &a);
}

bool rig_wrmsr(unsigned index, uint32_t msr, uint64_t value)
{
	return vlapic_wrmsr(&rig.lapic[index], msr, rig.now, value);
}

bool rig_rdmsr_ok(unsigned index, uint32_t msr)
{
	uint64_t value;

	return vlapic_rdmsr(&rig.lapic[index], msr, rig.now, &value);
}

uint64_t rig_rdmsr(unsigned index, uint32_t msr)
{
	uint64_t value;

	return vlapic_rdmsr(&rig.lapic[index], msr, rig.now, &value) ? value : ~0ull;
}

int rig_pending(unsigned index)
{
	unsigned blocked;

	return vlapic_pending(&rig.lapic[index], &blocked);
}

int rig_deliver(unsigned index)
{
	int vector = rig_pending(index);

	if (vector >= 0) {
		vlapic_ack(&rig.lapic[index], (uint8_t)vector);
	}
	return vector;
}

uint32_t rig_who(uint8_t vector)
{
	uint32_t who = 0;

	for (unsigned i = 0; i < rig.bus.count; i++) {
		struct vlapic *a = &rig.lapic[i];

		vlapic_set_tpr(a, 0);
		if (rig_deliver(i) == vector && rig_pending(i) < 0) {
			who |= 1u << i;
		}
		while (a->isr_words) {
			bool x2apic = vlapic_x2apic(a);

			if (x2apic) {
				rig_wrmsr(i, 0x80b, 0);
			} else {
				rig_write(i, 0xb0, 0);
			}
			rig_deliver(i);
		}
	}
	return who;
}
