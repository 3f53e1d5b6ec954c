/*
 * Local APIC, I/O APIC, 8259 pair, and the start of other CPUs. See guest.h.
 */
#include "guest.h"

bool lapic_x2;

uint32_t lapic_read(enum lapic_register r)
{
	return lapic_x2 ? (uint32_t)rdmsr(MSR_X2APIC + r / 16) : mmio_read(LAPIC + r);
}

void lapic_write(enum lapic_register r, uint32_t value)
{
	if (lapic_x2) {
		wrmsr(MSR_X2APIC + r / 16, value);
	} else {
		mmio_write(LAPIC + r, value);
	}
}

void lapic_enable(void)
{
	/* The PIC first: a firmware may have left it with a request pending. */
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	lapic_write(LAPIC_SVR, 0x1ff);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_DIVIDE, 0xb); /* 1 */
	lapic_write(LAPIC_LINT0, LVT_MASKED | LVT_EXTINT);
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void lapic_send(uint32_t dest, uint32_t icr)
{
	if (lapic_x2) {
		wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)dest << 32 | icr);
		return;
	}
	mmio_write(LAPIC + LAPIC_ICR2, dest << 24);
	mmio_write(LAPIC + LAPIC_ICR, icr);
	while (mmio_read(LAPIC + LAPIC_ICR) & 1 << 12) {
		pause();
	}
}

uint32_t lapic_id(void)
{
	return lapic_x2 ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

#ifdef __x86_64__
uint64_t lapic_timer_hz(void)
{
	static uint64_t hz;

	if (!hz) {
		hz = mullion_hz(true);
	}
	if (!hz) {
		hz = lapic_timer_hz_measured();
	}
	return hz;
}

/* The count and the TSC at one moment, as pm_now has them. */
static uint32_t count_now(uint64_t *tsc)
{
	uint64_t least = ~0ull;
	uint32_t best = 0;

	for (unsigned i = 0; i < 8; i++) {
		uint64_t before = rdtsc();
		uint32_t count = lapic_read(LAPIC_CURRENT);
		uint64_t around = rdtsc() - before;

		if (around < least) {
			least = around;
			best = count;
			*tsc = before + (around >> 1);
		}
	}
	return best;
}

uint64_t lapic_timer_hz_measured(void)
{
	uint64_t start = 0, end = 0;
	uint32_t first, last;

	lapic_write(LAPIC_TIMER, LVT_MASKED | 0xfe);
	lapic_write(LAPIC_INITIAL, 0xffffffff);
	first = count_now(&start);
	while (rdtsc() - start < tsc_hz() / 20) {
		pause();
	}
	last = count_now(&end);
	lapic_write(LAPIC_INITIAL, 0);
	return (uint64_t)(first - last) * (tsc_hz() / 1000) / (end - start) * 1000;
}
#endif

uint32_t ioapic_read(uint32_t index)
{
	mmio_write(IOAPIC, index);
	return mmio_read(IOAPIC + 0x10);
}

void ioapic_write(uint32_t index, uint32_t value)
{
	mmio_write(IOAPIC, index);
	mmio_write(IOAPIC + 0x10, value);
}

void ioapic_route(unsigned pin, uint64_t entry)
{
	ioapic_write(0x10 + 2 * pin, LVT_MASKED);
	ioapic_write(0x11 + 2 * pin, (uint32_t)(entry >> 32));
	ioapic_write(0x10 + 2 * pin, (uint32_t)entry);
}

void pic_init(uint8_t base, uint16_t mask)
{
	out8(0x20, 0x11);
	out8(0xa0, 0x11);
	out8(0x21, base);
	out8(0xa1, (uint8_t)(base + 8));
	out8(0x21, 4);
	out8(0xa1, 2);
	out8(0x21, 1);
	out8(0xa1, 1);
	out8(0x21, (uint8_t)mask);
	out8(0xa1, (uint8_t)(mask >> 8));
}

#ifdef __x86_64__
void ap_start(unsigned index);
extern const char ap_trampoline[], ap_trampoline_end[];
extern volatile uint32_t ap_count;
static void (*ap_entry)(unsigned index);

void ap_start(unsigned index)
{
	load_idt();
	ap_entry(index);
	for (;;) {
		__asm__ volatile("cli; hlt");
	}
}

unsigned smp_start(uint8_t vector, unsigned expected, void (*entry)(unsigned index))
{
	uint8_t *page = (uint8_t *)((uintptr_t)vector << 12);
	uint32_t before = ap_count;

	__asm__ volatile("" : "+r"(page)); /* page 0 is as good as any other */
	for (size_t i = 0; i < (size_t)(ap_trampoline_end - ap_trampoline); i++) {
		page[i] = (uint8_t)ap_trampoline[i];
	}
	ap_entry = entry;
	lapic_send(0, ICR_OTHERS | ICR_INIT | ICR_ASSERT);
	delay_us(1000);
	lapic_send(0, (uint32_t)ICR_OTHERS | ICR_SIPI | ICR_ASSERT | vector);
	for (unsigned i = 0; i < 2000 && ap_count - before < expected; i++) {
		delay_us(1000);
	}
	return ap_count - before;
}
#endif
