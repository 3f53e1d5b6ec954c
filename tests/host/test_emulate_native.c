/*
 * Differential test: each instruction form of forms.h runs on the real CPU on RAM and through the
 * emulator on MMIO, from the same registers and bytes; registers, flags and memory must agree.
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "tests/fake/fake_simd.h"
#include "tests/fake/machine.h"
#include "tests/fake/native.h"
#include "tests/host/forms.h"
#include "tests/host/test.h"
#include <sys/mman.h>

/* Linear addresses, the same in both worlds; forms.h names DATA by value. */
enum {
	CODE = 0x20000000,
	DATA = 0x20002000,
	SIDE = 0x20005000,
	STACK = 0x20008000,
	AREA = 2 * PAGE_SIZE,
	TOP = 0x2000a000
};
/* Where they are in guest-physical memory; DATA is MACHINE_MMIO. */
enum { GPA_CODE = 0x1000, GPA_SIDE = 0x10000, GPA_STACK = 0x20000 };

enum { ROUNDS = 2000 };

static struct machine m;
static uint64_t compared, form_count;

static uint64_t next_random(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Random, with the values at which carries and signs change more often than chance has it. */
static uint64_t operand_value(void)
{
	static const uint64_t corner[] = {
		0,	1,	    0x7f,	0x80,	    0xff,	0x7fff,	       0x8000,
		0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull >> 1, ~(~0ull >> 1), ~0ull};
	uint64_t r = next_random();

	switch (r >> 60) {
	case 0:
	case 1:
	case 2: return corner[r % ARRAY_SIZE(corner)];
	case 3: return r & 0xff;
	case 4: return corner[r % ARRAY_SIZE(corner)] ^ (1ull << (r >> 32 & 63));
	default: return next_random();
	}
}

static void *at(uint64_t va)
{
	return (void *)(uintptr_t)va;
}

static void fill(uint64_t va, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t v = operand_value();

		memcpy(at(va + i), &v, 8);
	}
}

static void start(void)
{
	static bool mapped;

	if (!mapped) {
		void *p = mmap(at(CODE), TOP - CODE, PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != at(CODE)) {
			perror("mmap");
			exit(1);
		}
		mapped = true;
	}
	native_code(at(CODE));
	machine_init(&m, MACHINE_LONG);
	machine_map(&m, CODE, GPA_CODE, 6);
	for (unsigned i = 0; i < AREA; i += PAGE_SIZE) {
		machine_map(&m, DATA + i, MACHINE_MMIO + i, 6);
		machine_map(&m, SIDE + i, GPA_SIDE + i, 6);
		machine_map(&m, STACK + i, GPA_STACK + i, 6);
	}
}

static uint64_t place(const struct form *f, uint64_t area)
{
	if (f->flags & FORM_ALIGNED) {
		return area + 0x400 + (next_random() & 0x3e0);
	}
	return area + (next_random() & 7 ? 0x400 + (next_random() & 0x3ff)
					 : PAGE_SIZE - (next_random() & 31));
}

static void make_registers(const struct form *f, struct native *n)
{
	bool swapped = f->flags & FORM_SWAPPED;

	for (unsigned i = 0; i < 16; i++) {
		n->gpr[i] = operand_value();
	}
	n->gpr[RBX] = next_random() & 15;
	n->gpr[RDI] = place(f, swapped ? SIDE : DATA);
	n->gpr[RSI] = place(f, swapped || (f->flags & FORM_BOTH) ? DATA : SIDE);
	n->gpr[RBP] = n->gpr[R12] = n->gpr[R13] = place(f, DATA);
	n->gpr[RSP] = f->flags & FORM_STACK ? DATA + 0x800 : STACK + 0x800;
	if (f->flags & FORM_SMALL_RDX) {
		n->gpr[RDX] = (uint64_t)((int64_t)(next_random() & 0x1fff) - 0x1000);
	}
	if (f->flags & FORM_COUNT) {
		n->gpr[RCX] = next_random() & 7 ? next_random() & 7 : next_random() & 0x7f;
	}
	n->rflags = (next_random() & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF |
				      RFLAGS_DF | RFLAGS_OF)) |
		    RFLAGS_1;
	for (unsigned i = 0; i < sizeof(n->simd); i++) {
		((uint8_t *)n->simd)[i] = (uint8_t)next_random();
	}
	memcpy(n->mmx, n->simd, sizeof(n->mmx));
}

static void make_memory(const struct form *f, struct native *n, uint64_t next)
{
	uint64_t va = f->flags & FORM_SWAPPED ? n->gpr[RSI] : n->gpr[RDI];

	fill(va & ~31ull, 64);
	fill(SIDE + 0x400, 64);
	fill(STACK + 0x7e0, 64);
	if (f->flags & FORM_BRANCH) {
		memcpy(at(n->gpr[RDI]), &next, 8);
	}
	if ((f->flags & FORM_EQUAL) && (next_random() & 1)) {
		uint64_t v[2];

		memmove(at(n->gpr[RSI]), at(n->gpr[RDI]), 64);
		memcpy(v, at(n->gpr[RDI] & ~7ull), 16);
		memcpy(v, at(n->gpr[RDI]), 16);
		n->gpr[RAX] = v[0];
		n->gpr[RDX] = v[1];
		if (!strncmp(f->text, "cmpxchg8b", 9) || !strncmp(f->text, "lock cmpxchg8b", 14)) {
			n->gpr[RDX] = v[0] >> 32;
		}
	}
	memcpy(m.mmio, at(DATA), AREA);
	memcpy(m.ram + GPA_SIDE, at(SIDE), AREA);
	memcpy(m.ram + GPA_STACK, at(STACK), AREA);
}

static enum emulate_result emulate_form(const struct form *f, const struct native *n)
{
	struct vcpu_regs *r = &m.v.regs;
	enum emulate_result result = EMULATE_DONE;
	uint64_t mmio = f->flags & FORM_SWAPPED ? n->gpr[RSI] : n->gpr[RDI];

	memcpy(r->gpr, n->gpr, sizeof(r->gpr));
	memcpy(fake_simd, n->simd, sizeof(fake_simd));
	memcpy(fake_mmx, n->mmx, sizeof(fake_mmx));
	r->rflags = n->rflags;
	r->rip = CODE;
	for (unsigned i = 0; i < 8 && result == EMULATE_DONE && r->rip == CODE; i++) {
		result = machine_run(&m, f->start, (size_t)(f->end - f->start),
				     MACHINE_MMIO + mmio - DATA, next_random() & 1);
	}
	return result;
}

static bool same(const struct form *f, const struct native *n, uint64_t next)
{
	const struct vcpu_regs *r = &m.v.regs;

	if (f->flags & (FORM_SIMD | FORM_AVX | FORM_MMX)) {
		if (memcmp(fake_simd, n->simd, sizeof(fake_simd)) ||
		    memcmp(fake_mmx, n->mmx, sizeof(fake_mmx))) {
			return false;
		}
	}
	return r->rip == next && !memcmp(r->gpr, n->gpr, sizeof(r->gpr)) &&
	       !((r->rflags ^ n->rflags) & 0xcd5) && !memcmp(m.mmio, at(DATA), AREA) &&
	       !memcmp(m.ram + GPA_SIDE, at(SIDE), AREA) &&
	       !memcmp(m.ram + GPA_STACK, at(STACK), AREA);
}

static void show(const struct form *f, const struct native *in, const struct native *out,
		 enum emulate_result result)
{
	printf("%s: result %d, rip +%llx, flags in %llx native %llx emulated %llx, memory %s %s "
	       "%s\n",
	       f->text, result, (unsigned long long)(m.v.regs.rip - CODE),
	       (unsigned long long)in->rflags, (unsigned long long)out->rflags,
	       (unsigned long long)m.v.regs.rflags,
	       memcmp(m.mmio, at(DATA), AREA) ? "differs" : "same",
	       memcmp(m.ram + GPA_SIDE, at(SIDE), AREA) ? "differs" : "same",
	       memcmp(m.ram + GPA_STACK, at(STACK), AREA) ? "differs" : "same");
	for (unsigned i = 0; i < 16; i++) {
		if (out->gpr[i] != m.v.regs.gpr[i]) {
			printf("  gpr %u: in %llx native %llx emulated %llx\n", i,
			       (unsigned long long)in->gpr[i], (unsigned long long)out->gpr[i],
			       (unsigned long long)m.v.regs.gpr[i]);
		}
	}
}

static bool compare_once(const struct form *f, unsigned what)
{
	struct native in, out;
	uint64_t next = native_place(f->start, (size_t)(f->end - f->start));
	enum emulate_result result;

	make_registers(f, &in);
	if (!(what & NATIVE_AVX)) { /* the upper halves are not loaded */
		for (unsigned i = 0; i < 16; i++) {
			memset(in.simd[i] + 16, 0, 16);
		}
	}
	make_memory(f, &in, next);
	result = emulate_form(f, &in);
	out = in;
	native_run(&out, what);
	compared++;
	if (result != EMULATE_DONE || !same(f, &out, next)) {
		show(f, &in, &out, result);
		return false;
	}
	return true;
}

/* Runs the forms that have one of the flags in `with` and none in `without`. */
static void compare_forms(uint64_t with, uint64_t without, unsigned what)
{
	start();
	fill(DATA, AREA);
	fill(SIDE, AREA);
	fill(STACK, AREA);
	for (const struct form *f = __start_forms; f < __stop_forms; f++) {
		bool good = true;

		if ((with && !(f->flags & with)) || (f->flags & without)) {
			continue;
		}
		form_count++;
		for (unsigned i = 0; i < ROUNDS && good; i++) {
			good = compare_once(f, what);
		}
		CHECK(good);
	}
	machine_free(&m);
}

TEST(general)
{
	compare_forms(0, FORM_SIMD | FORM_AVX | FORM_MMX, 0);
}

TEST(sse)
{
	bool avx = __builtin_cpu_supports("avx");

	compare_forms(FORM_SIMD, 0, avx ? NATIVE_AVX : NATIVE_SIMD);
}

TEST(avx)
{
	if (!__builtin_cpu_supports("avx")) {
		printf("this CPU has no AVX: not compared\n");
		return;
	}
	compare_forms(FORM_AVX, 0, NATIVE_AVX);
}

TEST(mmx)
{
	compare_forms(FORM_MMX, 0, NATIVE_MMX | NATIVE_SIMD);
}

TEST(report)
{
	printf("%llu instruction forms, %llu runs compared with the CPU\n",
	       (unsigned long long)form_count, (unsigned long long)compared);
	CHECK(form_count > 400);
}
