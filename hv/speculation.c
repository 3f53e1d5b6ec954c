/*
 * Speculative execution: see speculation.h (Intel SDM vol. 2 "CPUID", leaf 07H, and vol. 4
 * IA32_ARCH_CAPABILITIES, IA32_SPEC_CTRL; AMD APM vol. 3 "CPUID Fn8000_0008" and "Fn8000_0021").
 * State: whether IBRS stays set, chosen once at boot.
 */
#include "hv/speculation.h"
#include "hv/host.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"
#include "hv/msr_index.h"
#include "hv/multihit.h"

struct words {
	uint32_t leaf7_ebx, leaf7_edx, amd8_ebx, amd21_eax;
	uint64_t capabilities; /* IA32_ARCH_CAPABILITIES, 0 where there is none */
	bool amd;
};

enum { EDX_ARCH_CAPABILITIES = BIT(29), EBX_RTM = BIT(11) };
enum { EDX_MD_CLEAR = BIT(10), EDX_IBRS_IBPB = BIT(26), EDX_L1D_FLUSH = BIT(28) };
enum { CAP_IBRS_ALL = BIT(1), AMD21_AUTO_IBRS = BIT(8) };
enum { AMD8_IBPB = BIT(12), AMD8_SSB_NO = BIT(26) };
enum { SPEC_CTRL_IBRS = BIT(0), PRED_CMD_IBPB = BIT(0), FLUSH_CMD_L1D = BIT(0) };

static bool keeps_ibrs;

static void leaf(uint32_t number, uint32_t out[4])
{
	host_cpuid(number & 0x80000000, 0, out);
	if (out[EAX] < number) {
		out[EAX] = out[EBX] = out[ECX] = out[EDX] = 0;
		return;
	}
	host_cpuid(number, 0, out);
}

static void read_words(struct words *w)
{
	uint32_t r[4];

	*w = (struct words){0};
	host_cpuid(0, 0, r);
	w->amd = r[ECX] == 0x444d4163 || r[ECX] == 0x656e6975; /* "cAMD", "uine" */
	leaf(7, r);
	w->leaf7_ebx = r[EBX];
	w->leaf7_edx = r[EDX];
	leaf(0x80000008, r);
	w->amd8_ebx = w->amd ? r[EBX] : 0;
	leaf(0x80000021, r);
	w->amd21_eax = w->amd ? r[EAX] : 0;
	if (w->leaf7_edx & EDX_ARCH_CAPABILITIES &&
	    !host_rdmsr(MSR_ARCH_CAPABILITIES, &w->capabilities)) {
		w->capabilities = 0;
	}
}

/* clang-format off */
static const struct {
	const char *name;
	uint32_t intel, amd; /* a bit of leaf 7 EDX, of 8000_0008 EBX */
} controls[] = {
	{"IBRS", BIT(26), BIT(14)}, {"IBPB", BIT(26), BIT(12)}, {"STIBP", BIT(27), BIT(15)},
	{"SSBD", (uint32_t)BIT(31), BIT(24)}, {"MD_CLEAR", BIT(10), 0}, {"L1D flush", BIT(28), 0},
};
/* All bits of the capabilities tell that the CPU is immune; AMD's CPUs never had most of these. */
static const struct {
	const char *name;
	uint64_t immune;
	bool amd_immune;
} attacks[] = {
	{"Meltdown", BIT(0), true}, {"L1TF", BIT(0), true}, {"MDS", BIT(5), true},
	{"TAA", BIT(8), true}, {"SSB", BIT(4), false}, {"iTLB multihit", BIT(6), true},
	{"MMIO stale data", FIELD(15, 13), true}, {"GDS", BIT(26), true}, {"RFDS", BIT(27), true},
};
/* clang-format on */

static void add(char *list, size_t size, const char *name)
{
	size_t len = strlen(list);

	fmt_print(list + len, size - len, "%s%s", len ? ", " : "", name);
}

static bool is_immune(const struct words *w, size_t i)
{
	if (w->amd) {
		return attacks[i].amd_immune ||
		       (attacks[i].immune == BIT(4) && w->amd8_ebx & AMD8_SSB_NO);
	}
	if (attacks[i].immune == BIT(8) && !(w->leaf7_ebx & EBX_RTM)) {
		return true; /* it has no transactions to abort */
	}
	if (attacks[i].immune == BIT(6)) {
		return multihit_read() == MULTIHIT_NO; /* some models do not say so */
	}
	return (w->capabilities & attacks[i].immune) == attacks[i].immune;
}

void speculation_read(struct speculation *s)
{
	struct words w;

	read_words(&w);
	s->controls[0] = s->immune[0] = s->rest[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
		if (w.leaf7_edx & controls[i].intel || w.amd8_ebx & controls[i].amd) {
			add(s->controls, sizeof(s->controls), controls[i].name);
		}
	}
	if (w.capabilities & CAP_IBRS_ALL || w.amd21_eax & AMD21_AUTO_IBRS) {
		add(s->controls, sizeof(s->controls), "IBRS at all times");
	}
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
		if (is_immune(&w, i)) {
			add(s->immune, sizeof(s->immune), attacks[i].name);
		} else {
			add(s->rest, sizeof(s->rest), attacks[i].name);
		}
	}
}

/* --- against them --- */

void speculation_init(void)
{
	struct words w;

	read_words(&w);
	keeps_ibrs = w.leaf7_edx & EDX_IBRS_IBPB && w.capabilities & CAP_IBRS_ALL;
}

bool speculation_keeps_ibrs(void)
{
	return keeps_ibrs;
}

bool speculation_write(uint64_t value)
{
	return host_wrmsr(MSR_SPEC_CTRL, value | (keeps_ibrs ? SPEC_CTRL_IBRS : 0));
}

bool speculation_auto_ibrs(void)
{
	struct words w;

	read_words(&w);
	return w.amd21_eax & AMD21_AUTO_IBRS;
}

void speculation_forget(void)
{
	struct words w;

	read_words(&w);
	speculation_write(0); /* one that this CPU does not have leaves nothing behind either */
	if (w.leaf7_edx & EDX_IBRS_IBPB || w.amd8_ebx & AMD8_IBPB) {
		host_wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	}
	if (w.leaf7_edx & EDX_L1D_FLUSH) {
		host_wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	}
	if (w.leaf7_edx & EDX_MD_CLEAR) {
		host_clear_buffers();
	}
}
