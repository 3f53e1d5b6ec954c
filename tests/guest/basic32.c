/*
 * 32-bit protected mode without paging: ports, CPUID, MMIO through flat and shifted segments, a call
 * through a function pointer that lies in a device register, faults.
 */
#include "guest.h"

GUEST("basic32");

static int called;

static void target(void)
{
	called++;
}

/* Loads FS with a segment of the given base: the table of the loader has a slot we may change. */
static void load_fs(uint32_t base)
{
	static uint64_t gdt[4];
	struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = {sizeof(gdt) - 1, (uint32_t)gdt};

	gdt[1] = 0x00cf9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00cf93000000ffff | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
	__asm__ volatile("lgdt %0; movw %w1, %%fs" : : "m"(pointer), "r"(0x18));
}

void guest_main(void)
{
	uint32_t value;
	struct cpuid id = cpuid(0x40000000, 0);

	CHECK(id.a >= 0x40000000);
	CHECK(cpuid(1, 0).c >> 31); /* hypervisor present */

	CHECK((lapic_read(LAPIC_VERSION) & 0xff) >= 0x10);
	lapic_write(LAPIC_TIMER, LVT_MASKED);
	lapic_write(LAPIC_INITIAL, (uint32_t)target);
	__asm__ volatile("call *%0" : : "m"(*(volatile uint32_t *)(LAPIC + LAPIC_INITIAL))
			 : "eax", "ecx", "edx", "memory", "cc");
	CHECK_EQ(called, 1);
	__asm__ volatile("pushl %1; popl %0" : "=r"(value)
			 : "m"(*(volatile uint32_t *)(LAPIC + LAPIC_INITIAL)));
	CHECK_EQ(value, (uint32_t)target);

	/* The same register through a segment whose base is in the middle of the page. */
	load_fs(LAPIC + 0x300);
	__asm__ volatile("movl %%fs:0x80, %0" : "=r"(value));
	CHECK_EQ(value, (uint32_t)target);
	__asm__ volatile("movl %0, %%fs:0x80" : : "r"(0x12345678));
	CHECK_EQ(lapic_read(LAPIC_INITIAL), 0x12345678);
	/* 16-bit addressing. */
	__asm__ volatile("movw $0x80, %%bx; addr16 movl %%fs:(%%bx), %0" : "=r"(value) : : "ebx");
	CHECK_EQ(value, 0x12345678);

	CHECK_EQ(TRY("ud2", ), EXC_UD);
	CHECK_EQ(TRY("movw %w0, %%gs", "b"(0xff8)), EXC_GP);
	CHECK_EQ(caught.error, 0xff8);
}
