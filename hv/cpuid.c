/*
 * CPUID as a vCPU sees it: the words of cpuid_table.c, and those that follow the vCPU.
 *
 * Called by exit.c on the owner CPU; an exit only copies four words. A leaf that no table names
 * reads as zeros.
 */
#include "hv/cpuid_part.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/partition.h"
#include "hv/pvclock.h"

static const struct cpuid_machine *const m = &cpuid_machine;

static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n) {
		bits++;
	}
	return bits;
}

static void leaf1(struct vcpu *v, uint32_t out[4])
{
	unsigned n = v->part->vcpus;

	out[EBX] = (out[EBX] & 0xff00) | (n & 0xff) << 16 | v->index << 24;
	out[EDX] |= n > 1 ? B(28) : 0;
	if (!(atomic_load_explicit(&v->apic.base, memory_order_relaxed) & BIT(11))) {
		out[EDX] &= ~B(9);
	}
	vcpu_need(v, GROUP_CR);
	if (v->regs.cr4 & CR4_OSXSAVE) {
		out[ECX] |= B(27);
	}
}

/* Caches: private to each vCPU, which is a core of its own; the last level is shared by all. */
static void leaf4(const struct vcpu *v, uint32_t subleaf, uint32_t out[4])
{
	unsigned n = v->part->vcpus;

	if (m->amd || m->max_basic < 4) {
		return;
	}
	host_cpuid(4, subleaf, out);
	if (out[EAX] & 0x1f) {
		bool shared = ((out[EAX] >> 5) & 7) >= 3;

		out[EAX] &= R(13, 0);
		out[EAX] |= (n - 1) << 26 | (shared ? n - 1 : 0) << 14;
	}
}

static void leafb(const struct vcpu *v, uint32_t subleaf, uint32_t out[4])
{
	unsigned n = v->part->vcpus;

	out[ECX] = subleaf & 0xff;
	out[EDX] = v->apic.apic_id;
	if (subleaf == 0) { /* threads: one */
		out[EBX] = 1;
		out[ECX] |= 1 << 8;
	} else if (subleaf == 1) { /* cores */
		out[EAX] = id_bits(n);
		out[EBX] = n;
		out[ECX] |= 2 << 8;
	}
}

static void leafd(uint32_t subleaf, uint32_t out[4])
{
	uint64_t xcr0;

	if (!m->xcr0_allowed) {
		return;
	}
	if (subleaf >= 2) {
		if (subleaf < 63 && (m->xcr0_allowed >> subleaf & 1)) {
			host_cpuid(0xd, subleaf, out);
		}
		return;
	}
	xcr0 = host_xcr0_read();
	if (subleaf == 0) {
		out[EAX] = (uint32_t)m->xcr0_allowed;
		out[EBX] = (uint32_t)cpuid_xsave_size(xcr0);
		out[ECX] = (uint32_t)cpuid_xsave_size(m->xcr0_allowed);
		out[EDX] = (uint32_t)(m->xcr0_allowed >> 32);
	} else {
		memcpy(out, m->leafd_1, sizeof(m->leafd_1));
		out[EBX] = m->leafd_1[EAX] & (B(1) | B(3)) ? (uint32_t)cpuid_xsavec_size(xcr0) : 0;
	}
}

/* "Mullion" in twelve letters, then the frequencies in kHz as other hypervisors tell them. */
static void hypervisor_leaf(uint32_t leaf, uint32_t out[4])
{
	if (leaf == 0x40000000) {
		static const char signature[12] = "MullionHyper";

		out[EAX] = 0x40000010;
		memcpy(&out[EBX], signature, sizeof(signature));
	} else if (leaf == 0x40000010) {
		out[EAX] = (uint32_t)(host_tsc_hz / 1000);
		out[EBX] = out[EAX];
	} else {
		pvclock_cpuid(leaf, out);
	}
}

static void amd_leaf(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	unsigned n = v->part->vcpus;

	switch (leaf) {
	case 0x80000001: out[ECX] = n > 1 ? out[ECX] : out[ECX] & ~B(1); break;
	case 0x80000008: out[ECX] = (n - 1) | id_bits(n) << 12; break;
	case 0x8000001d:
		if (m->max_extended >= leaf && (m->extended[1][ECX] & B(22))) {
			host_cpuid(leaf, subleaf, out);
			out[EAX] = (out[EAX] & R(13, 0)) | (((out[EAX] >> 5) & 7) >= 3 ? n - 1 : 0)
								   << 14;
		}
		break;
	case 0x8000001e:
		out[EAX] = v->apic.apic_id;
		out[EBX] = v->index;
		break;
	}
}

static void special(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	switch (leaf) {
	case 1: leaf1(v, out); break;
	case 4: leaf4(v, subleaf, out); break;
	case 7:
		if (subleaf) {
			memset(out, 0, 16);
			if (subleaf == 1) {
				memcpy(out, m->leaf7_1, 16);
			}
		} else {
			out[EAX] = (m->leaf7_1[EAX]) != 0;
			/* OSPKE follows CR4.PKE */
			vcpu_need(v, GROUP_CR);
			out[ECX] |= v->regs.cr4 & CR4_PKE ? B(4) : 0;
		}
		break;
	case 0xb:
	case 0x1f:
		if (!m->amd || leaf == 0xb) {
			leafb(v, subleaf, out);
		}
		break;
	case 0xd: leafd(subleaf, out); break;
	default:
		if (m->amd) {
			amd_leaf(v, leaf, subleaf, out);
		}
	}
}

void cpuid_guest(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	const uint32_t *from = NULL;

	if (leaf - 0x40000000 < 0x10000000) {
		memset(out, 0, 16);
		hypervisor_leaf(leaf, out);
		return;
	}
	if (leaf <= m->max_basic) {
		from = m->basic[leaf];
	} else if (leaf >= 0x80000000 && leaf <= m->max_extended) {
		from = m->extended[leaf - 0x80000000];
	} else if (!m->amd) { /* beyond the end, Intel's CPUs answer with the highest basic leaf */
		leaf = m->max_basic;
		from = m->basic[leaf];
	}
	if (!from) {
		memset(out, 0, 16);
		return;
	}
	memcpy(out, from, 16);
	special(v, leaf, subleaf, out);
}
