/*
 * Groups and requester ids of PCI functions: see pci_group.h (PCI Express Base, "Access Control
 * Services"; PCI Express to PCI/PCI-X Bridge Specification, "Requester ID").
 *
 * Pure: it reads the table of pci.c, which is what firmware and devices said, and believes none of
 * it. Ways up are bounded by the number of functions, whatever bus numbers say.
 */
#include "hv/pci_group.h"

enum { VENDOR_INTEL = 0x8086 };

enum { NONE = -1 };

struct table {
	struct pci_function *f;
	unsigned count;
	int16_t parent[PCI_FUNCTIONS]; /* the bridge to a function's bus; NONE: a root bus, or no
					  way */
};

/* --- the tree --- */

static bool is_bridge(const struct pci_function *f)
{
	return f->header_type == 1 && f->secondary;
}

static int16_t bridge_to(const struct table *t, unsigned bus)
{
	for (unsigned i = 0; bus && i < t->count; i++) {
		if (is_bridge(&t->f[i]) && t->f[i].secondary == bus) {
			return (int16_t)i;
		}
	}
	return NONE;
}

static void read_tree(struct table *t, struct pci_function *f, unsigned count)
{
	t->f = f;
	t->count = count < PCI_FUNCTIONS ? count : PCI_FUNCTIONS;
	for (unsigned i = 0; i < t->count; i++) {
		t->parent[i] = bridge_to(t, f[i].bdf >> 8);
	}
}

/* One that no bridge takes for its own: machines with several CPUs have more than bus 0. */
static bool is_root_bus(const struct table *t, unsigned bus)
{
	for (unsigned i = 0; bus && i < t->count; i++) {
		if (is_bridge(&t->f[i]) && bus >= t->f[i].secondary && bus <= t->f[i].subordinate) {
			return false;
		}
	}
	return true;
}

/* Is a root bus reached by going up? */
static bool has_way(const struct table *t, unsigned i)
{
	int at = (int)i;

	for (unsigned n = 0; n < t->count && t->parent[at] != NONE; n++) {
		at = t->parent[at];
	}
	return is_root_bus(t, t->f[at].bdf >> 8);
}

static bool is_above(const struct table *t, unsigned bridge, unsigned i)
{
	int at = t->parent[i];

	for (unsigned n = 0; n < t->count && at != NONE; n++) {
		if (at == (int)bridge) {
			return true;
		}
		at = t->parent[at];
	}
	return false;
}

/* At the end of a link is one device; with ARI its functions have numbers of several. */
static bool is_link(const struct table *t, const struct pci_function *f)
{
	int16_t above = t->parent[f - t->f];

	return above != NONE && t->f[above].cap_pcie &&
	       (t->f[above].pcie_type == PCIE_ROOT_PORT ||
		t->f[above].pcie_type == PCIE_DOWNSTREAM);
}

static bool are_one_device(const struct table *t, const struct pci_function *a,
			   const struct pci_function *b)
{
	return a != b &&
	       (a->bdf >> 3 == b->bdf >> 3 || (a->bdf >> 8 == b->bdf >> 8 && is_link(t, a)));
}

static bool has_sibling(const struct table *t, unsigned i)
{
	for (unsigned n = 0; n < t->count; n++) {
		if (are_one_device(t, &t->f[n], &t->f[i])) {
			return true;
		}
	}
	return false;
}

/* --- who keeps requests apart --- */

/* Of the services, those that a port does not list it does not need: it never lets such by. */
static bool has_acs(const struct pci_function *f)
{
	return f->cap_acs && (f->acs_on & f->acs & ACS_WANTED) == (f->acs & ACS_WANTED) &&
	       !(f->acs_on & ACS_DIRECT_TRANSLATED);
}

/* Between the bridge's own side and what is behind it, and between what is behind it. */
static bool bridge_isolates(const struct table *t, unsigned i)
{
	const struct pci_function *f = &t->f[i];

	if (!f->cap_pcie) {
		return false;
	}
	switch (f->pcie_type) {
	case PCIE_ROOT_PORT:
	case PCIE_DOWNSTREAM: return has_acs(f);
	case PCIE_UPSTREAM: return !has_sibling(t, i) || has_acs(f);
	default: return false;
	}
}

static bool is_apart(const struct pci_function *f)
{
	return has_acs(f) ||
	       (f->cap_pcie && f->pcie_type == PCIE_INTEGRATED && f->vendor == VENDOR_INTEL);
}

static bool are_siblings(const struct table *t, const struct pci_function *a,
			 const struct pci_function *b)
{
	return are_one_device(t, a, b) && !is_apart(a) && !is_apart(b);
}

/* A bridge that takes the bus of i for its own, though the way to it is another. */
static bool claims(const struct table *t, unsigned bridge, unsigned i)
{
	unsigned bus = t->f[i].bdf >> 8;

	return bus >= t->f[bridge].secondary && bus <= t->f[bridge].subordinate &&
	       !is_above(t, bridge, i);
}

/* --- groups: each is named by its function with the lowest id --- */

static void join(const struct table *t, unsigned a, unsigned b)
{
	uint16_t one = t->f[a].group, other = t->f[b].group;

	for (unsigned i = 0; one != other && i < t->count; i++) {
		if (t->f[i].group == one || t->f[i].group == other) {
			t->f[i].group = one < other ? one : other;
		}
	}
}

static void join_below(const struct table *t, unsigned bridge)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (is_above(t, bridge, i)) {
			join(t, bridge, i);
		}
	}
}

static void join_bridge(const struct table *t, unsigned bridge)
{
	bool isolates = bridge_isolates(t, bridge);

	if (!isolates) {
		join_below(t, bridge);
	}
	/* What a downstream port sends to its switch's own bus, other ports there take. */
	if (!isolates && t->f[bridge].pcie_type == PCIE_DOWNSTREAM && t->parent[bridge] != NONE) {
		join_below(t, (unsigned)t->parent[bridge]);
	}
	for (unsigned i = 0; i < t->count; i++) {
		if (claims(t, bridge, i)) {
			join(t, bridge, i);
		}
	}
}

static void join_siblings(const struct table *t, unsigned i)
{
	for (unsigned n = 0; n < i; n++) {
		if (are_siblings(t, &t->f[n], &t->f[i])) {
			join(t, n, i);
		}
	}
}

/* Who knows where those without a way to them are. */
static void join_lost(const struct table *t)
{
	int lost = NONE;

	for (unsigned i = 0; i < t->count; i++) {
		if (!has_way(t, i)) {
			lost = lost == NONE ? (int)i : lost;
			join(t, (unsigned)lost, i);
		}
	}
}

/* --- requesters --- */

static uint16_t requester_of(const struct table *t, unsigned i)
{
	uint16_t id = t->f[i].bdf;

	for (int at = has_way(t, i) ? t->parent[i] : NONE; at != NONE; at = t->parent[at]) {
		const struct pci_function *f = &t->f[at];

		if (f->cap_pcie && f->pcie_type == PCIE_TO_PCI) {
			id = (uint16_t)(f->secondary << 8);
		} else if (!f->cap_pcie || f->pcie_type == PCI_TO_PCIE) {
			id = f->bdf;
		}
	}
	return id;
}

void pci_group_all(struct pci_function *functions, unsigned count)
{
	struct table t;

	read_tree(&t, functions, count);
	for (unsigned i = 0; i < t.count; i++) {
		t.f[i].group = t.f[i].bdf;
		t.f[i].requester = requester_of(&t, i);
	}
	join_lost(&t);
	for (unsigned i = 0; i < t.count; i++) {
		join_siblings(&t, i);
		if (is_bridge(&t.f[i])) {
			join_bridge(&t, i);
		}
	}
}

/* What is between a bridge and all below it does not keep them apart. */
static bool mixes(const struct table *t, unsigned bridge)
{
	for (unsigned i = 0; i < t->count; i++) {
		if (t->parent[i] == (int)bridge && t->f[i].pcie_type == PCIE_DOWNSTREAM &&
		    is_bridge(&t->f[i]) && !bridge_isolates(t, i)) {
			return true;
		}
	}
	return !bridge_isolates(t, bridge);
}

/* Do a and b, or what is above them, belong to one device? */
static bool meet_in_device(const struct table *t, unsigned a, unsigned b)
{
	for (unsigned i = 0; i < t->count; i++) {
		for (unsigned n = 0; n < t->count; n++) {
			if ((i == a || is_above(t, i, a)) && (n == b || is_above(t, n, b)) &&
			    are_siblings(t, &t->f[i], &t->f[n])) {
				return true;
			}
		}
	}
	return false;
}

const char *pci_group_why(const struct pci_function *a, const struct pci_function *b)
{
	unsigned ia = (unsigned)(a - pci_functions), ib = (unsigned)(b - pci_functions);
	struct table t;

	read_tree(&t, pci_functions, pci_function_count);
	for (unsigned i = 0; i < t.count; i++) {
		if (is_above(&t, i, ia) && is_above(&t, i, ib) && mixes(&t, i)) {
			return t.f[i].cap_pcie && t.f[i].pcie_type != PCIE_TO_PCI
				       ? "are behind one port or switch that does not keep them "
					 "apart (no ACS)"
				       : "are behind one bridge to conventional PCI, which does "
					 "not keep them apart";
		}
	}
	if (are_siblings(&t, a, b)) {
		return "are one device, which does not keep its functions apart (no ACS)";
	}
	return meet_in_device(&t, ia, ib)
		       ? "are behind functions of one device that does not keep them apart (no ACS)"
		       : "are on buses whose numbers contradict each other";
}

uint16_t pci_requester(uint16_t bdf)
{
	const struct pci_function *f = pci_find(bdf);

	return f ? f->requester : bdf;
}
