/*
 * Port I/O: IN and OUT of 1, 2 and 4 bytes, INS and OUTS with REP, forwards and backwards, with both
 * address sizes, and with a page fault in the middle.
 */
#include "guest.h"

GUEST("io");

enum { SCRATCH = 0x3ff, NOBODY = 0x2220, PCI_ADDRESS = 0xcf8, PCI_DATA = 0xcfc };

static uint8_t bytes[64];
static uint32_t words[16];

static void check_in_out(void)
{
	uint64_t rax;

	__asm__ volatile("movq $-1, %%rax; inb %w1, %%al; movq %%rax, %0" : "=m"(rax) : "d"(SCRATCH) : "rax");
	CHECK_EQ(rax >> 8, 0xffffffffffffff);
	for (unsigned v = 0; v < 256; v += 17) {
		out8(SCRATCH, (uint8_t)v);
		CHECK_EQ(in8(SCRATCH), v);
	}
	__asm__ volatile("movq $0x1122334455667788, %%rax; inw %w1, %%ax; movq %%rax, %0"
			 : "=m"(rax) : "d"(NOBODY) : "rax");
	CHECK_EQ(rax, 0x112233445566ffff);
	__asm__ volatile("movq $-1, %%rax; inl %w1, %%eax; movq %%rax, %0" : "=m"(rax) : "d"(NOBODY) : "rax");
	CHECK_EQ(rax, 0xffffffff);
	out8(NOBODY, 1);
	out16(NOBODY, 1);
	out32(NOBODY, 1);

	out32(PCI_ADDRESS, 0x80000000);
	CHECK_EQ(in32(PCI_ADDRESS), 0x80000000);
	CHECK(in32(PCI_DATA) != 0xffffffff); /* the host bridge */
	CHECK_EQ(in16(PCI_DATA), in32(PCI_DATA) & 0xffff);
	CHECK_EQ(in8(PCI_DATA + 1), in32(PCI_DATA) >> 8 & 0xff);
	out32(PCI_ADDRESS, 0x80000000 | 31 << 11);
	CHECK_EQ(in32(PCI_DATA), 0xffffffff);
	/* The immediate form. */
	__asm__ volatile("inb $0x61, %%al" : : : "rax");
}

static void check_outs(void)
{
	const uint8_t *from;
	uint64_t count;

	for (unsigned i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i + 1);
	}
	from = bytes;
	count = 20;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(count, 0);
	CHECK_EQ(from, bytes + 20);
	CHECK_EQ(in8(SCRATCH), 20);

	from = bytes + 40;
	count = 10;
	__asm__ volatile("std; rep outsb; cld" : "+S"(from), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(from, bytes + 30);
	CHECK_EQ(in8(SCRATCH), 32);

	count = 0;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(from, bytes + 30);
	CHECK_EQ(in8(SCRATCH), 32);

	from = bytes;
	__asm__ volatile("outsb" : "+S"(from) : "d"(SCRATCH) : "memory");
	CHECK_EQ(from, bytes + 1);
	CHECK_EQ(in8(SCRATCH), 1);
	words[0] = 0x80000000;
	words[1] = 0x80000000 | 8;
	from = (const uint8_t *)words;
	count = 2;
	__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(PCI_ADDRESS) : "memory");
	CHECK_EQ(in32(PCI_ADDRESS), 0x80000008);
	CHECK_EQ(from, words + 2);
	count = 3;
	__asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(NOBODY) : "memory");
	CHECK_EQ(from, (uint8_t *)words + 14);
}

static void check_ins(void)
{
	uint8_t *to = bytes + 8;
	uint64_t count = 16;

	out8(SCRATCH, 0xa5);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(to, bytes + 24);
	CHECK_EQ(bytes[7], 8);
	CHECK_EQ(bytes[8], 0xa5);
	CHECK_EQ(bytes[23], 0xa5);
	CHECK_EQ(bytes[24], 25);
	to = (uint8_t *)(words + 8);
	count = 4;
	__asm__ volatile("std; rep insl; cld" : "+D"(to), "+c"(count) : "d"(NOBODY) : "memory");
	CHECK_EQ(to, words + 4);
	CHECK_EQ(words[4], 0);
	CHECK_EQ(words[5], 0xffffffff);
	CHECK_EQ(words[8], 0xffffffff);
	CHECK_EQ(words[9], 0);
	/* 32-bit addresses: the upper halves of RDI and RCX do not count, and are cleared. */
	to = bytes;
	count = 0xdead00000000 + 2;
	__asm__ volatile("addr32 rep insb" : "+D"(to), "+c"(count) : "d"(SCRATCH) : "memory");
	CHECK_EQ(to, bytes + 2);
	CHECK_EQ(count, 0);
}

/* The first page is there, the second is not: what was done stays done. */
static void check_fault(void)
{
	static uint64_t pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096)));
	static uint64_t table[512] __attribute__((aligned(4096)));
	static uint8_t page[4096] __attribute__((aligned(4096)));
	uint64_t high = 0xffff800000000000, to = high + 4096 - 5, count = 64;

	((uint64_t *)read_cr3())[256] = (uintptr_t)pdpt | 3;
	pdpt[0] = (uintptr_t)pd | 3;
	pd[0] = (uintptr_t)table | 3;
	table[0] = (uintptr_t)page | 3;
	write_cr3(read_cr3());
	out8(SCRATCH, 0x77);
	caught.vector = -1;
	__asm__ volatile(TRY_TARGET_ "rep insb;" TRY_DONE_
			 : "+D"(to), "+c"(count) : "d"(SCRATCH) : "rax", "memory");
	CHECK_EQ(caught.vector, EXC_PF);
	CHECK_EQ(caught.error, 2);
	CHECK_EQ(caught.cr2, high + 4096);
	CHECK_EQ(to, high + 4096);
	CHECK_EQ(count, 59);
	CHECK_EQ(page[4090], 0);
	CHECK_EQ(page[4091], 0x77);
	CHECK_EQ(page[4095], 0x77);
}

void guest_main(void)
{
	check_in_out();
	check_outs();
	check_ins();
	check_fault();
}
