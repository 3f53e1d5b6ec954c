/*
 * The guest's vector registers as they stand in this CPU: see hv/host.h. Called by the emulator.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/cpu.h"
#include "hv/host.h"
#include "hv/lib/string.h"

enum { FCW_RESET = 0x37f };

void simd_xmm_store(void *to, unsigned reg);
void simd_xmm_load(const void *from, unsigned reg);
void simd_xmm_load_clear(const void *from, unsigned reg);
void simd_ymm_store(void *to, unsigned reg);
void simd_ymm_load(const void *from, unsigned reg);

enum { XCR0_X87_SSE_AVX = 7 };

void simd_reset(void)
{
	struct fxsave f = {.fcw = FCW_RESET, .mxcsr = MXCSR_RESET};

	__asm__ volatile("fxrstor64 %0" : : "m"(f));
	if (read_cr4() & CR4_OSXSAVE) {
		xsetbv(0, 1);
	}
}

enum { FSW_TOP = FIELD(13, 11) };

/*
 * Through FXSAVE and FXRSTOR, because an MMX instruction would take an x87 exception that the guest
 * has left pending. ST(0) is physical register TOP; MM0 is physical register 0.
 */
static unsigned st_of(const struct fxsave *f, unsigned reg)
{
	return (reg - (unsigned)field_get(FSW_TOP, f->fsw)) & 7;
}

static void mmx_read(unsigned reg, void *out)
{
	struct fxsave f;

	__asm__ volatile("fxsave64 %0" : "=m"(f));
	memcpy(out, &f.st[st_of(&f, reg)].mantissa, 8);
}

static void mmx_write(unsigned reg, const void *in)
{
	struct fxsave f;
	uint64_t value[8];

	__asm__ volatile("fxsave64 %0" : "=m"(f));
	for (unsigned i = 0; i < 8; i++) {
		value[i] = f.st[st_of(&f, i)].mantissa;
	}
	memcpy(&value[reg & 7], in, 8);
	/* As after any MMX instruction: TOP 0, all registers in use, exponent all ones where
	 * written. */
	f.fsw &= (uint16_t)~FSW_TOP;
	f.tags = 0xff;
	for (unsigned i = 0; i < 8; i++) {
		f.st[i].mantissa = value[i];
	}
	f.st[reg & 7].exponent = 0xffff;
	__asm__ volatile("fxrstor64 %0" : : "m"(f));
}

/*
 * AVX for the time of one access: 1 done as it stands, and *xcr0 is what to put back. A CPU without
 * AVX can be asked for it by a guest that changes its code under us; it must not fault.
 */
static bool avx_begin(uint64_t *xcr0)
{
	uint32_t id[4];

	cpuid(1, 0, id);
	if (!(id[2] & BIT(28))) {
		return false;
	}
	*xcr0 = xgetbv(0);
	if ((*xcr0 & XCR0_X87_SSE_AVX) != XCR0_X87_SSE_AVX) {
		xsetbv(0, *xcr0 | XCR0_X87_SSE_AVX);
	}
	return true;
}

static void avx_end(uint64_t xcr0)
{
	if ((xcr0 & XCR0_X87_SSE_AVX) != XCR0_X87_SSE_AVX) {
		xsetbv(0, xcr0);
	}
}

void host_simd_read(unsigned reg, unsigned bytes, void *out)
{
	uint64_t xcr0;

	if (bytes == 8) {
		mmx_read(reg & 7, out);
	} else if (bytes == 16) {
		simd_xmm_store(out, reg & 15);
	} else if (avx_begin(&xcr0)) {
		simd_ymm_store(out, reg & 15);
		avx_end(xcr0);
	} else {
		memset(out, 0, bytes);
	}
}

void host_simd_write(unsigned reg, unsigned bytes, bool zero_upper, const void *in)
{
	uint64_t xcr0;

	if (bytes == 8) {
		mmx_write(reg & 7, in);
	} else if (bytes == 16 && !zero_upper) {
		simd_xmm_load(in, reg & 15);
	} else if (avx_begin(&xcr0)) {
		if (bytes == 16) {
			simd_xmm_load_clear(in, reg & 15);
		} else {
			simd_ymm_load(in, reg & 15);
		}
		avx_end(xcr0);
	} else if (bytes == 16) {
		simd_xmm_load(in, reg & 15);
	}
}
