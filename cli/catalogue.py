"""Every command in one static table: section -> name -> (where it lives, one line about it).

Help and completion read this table; a command's module is imported only when the command runs.
"""

from typing import Final

Sections = dict[str, dict[str, tuple[str, str]]]

COMMANDS: Final[Sections] = {
    "Get going": {
        "up": ("cli.commands.machine:up", "Run a whole centre on this machine."),
        "demo": ("cli.commands.machine:demo", "Run an example centre with real jobs, to its usage report."),
        "login": ("cli.commands.login:login", "Log in to a centre."),
        "logout": ("cli.commands.login:logout", "Revoke the token and forget it."),
        "whoami": ("cli.commands.login:whoami", "Show who you are here, and your roles."),
        "password": ("cli.commands.login:password", "Change your password, if the centre keeps one."),
        "me": ("cli.commands.me:me", "What the centre keeps of you."),
        "context": ("cli.commands.contexts:context", "List and switch the centres you are logged in to."),
        "completion": ("cli.commands.completion:completion", "Print the completion script of a shell."),
    },
    "Jobs": {
        "submit": ("cli.commands.submit:submit", "Submit a job file, a script or a command."),
        "jobs": ("cli.commands.jobs:jobs", "List jobs, newest first."),
        "show": ("cli.commands.jobs:show", "Show all about a job."),
        "why": ("cli.commands.jobs:why", "Say why a job waits, and what would start it sooner."),
        "logs": ("cli.commands.logs:logs", "Show or follow what a job prints."),
        "exec": ("cli.commands.exec:exec_", "Run a command, or a shell, in a running job."),
        "forward": ("cli.commands.exec:forward", "Reach a port of a running job from this machine."),
        "wait": ("cli.commands.wait:wait", "Wait until jobs are over."),
        "cancel": ("cli.commands.steer:cancel", "Stop jobs for good."),
        "hold": ("cli.commands.steer:hold", "Keep waiting jobs from starting."),
        "release": ("cli.commands.steer:release", "Let held jobs start again."),
        "requeue": ("cli.commands.steer:requeue", "Stop running jobs and queue them again."),
        "extend": ("cli.commands.steer:extend", "Let a running job run longer."),
        "priority": ("cli.commands.steer:priority", "Set a waiting job's place among its user's jobs."),
        "outputs": ("cli.commands.outputs:outputs", "List and download what a job left."),
        "terms": ("cli.commands.terms:terms", "Read and accept the terms of use."),
        "secret": ("cli.commands.secret:secret", "Set, list and remove a project's secrets."),
    },
    "Shares and budgets": {
        "queue": ("cli.commands.queue:queue", "Show the queue as the planner sees it."),
        "quota": ("cli.commands.shares:quota", "Show what accounts may hold at one time."),
        "usage": ("cli.commands.shares:usage", "Show what was used and charged."),
        "notices": ("cli.commands.notices:notices", "Show what you are told of your budgets."),
        "allocations": ("cli.commands.shares:allocations", "Show what projects may spend, and what is left."),
    },
    "Run a centre": {
        "admin": ("cli.commands.admin:admin", "Manage tenants, projects, users, clusters and budgets."),
        "simulate": ("cli.commands.simulate:simulate", "Rehearse policies, quotas and capacity on a workload."),
        "settings": ("cli.commands.machine:settings", "Explain every setting of a centre."),
    },
}

ADMIN: Final[Sections] = {
    "People and accounts": {
        "account": ("cli.commands.admin.accounts:account", "The tree of accounts: groups, and who is under whom."),
        "tenant": ("cli.commands.admin.tenants:tenant", "Institutions."),
        "project": ("cli.commands.admin.projects:project", "Projects of tenants, and their members."),
        "member": ("cli.commands.admin.projects:member", "Members of a project."),
        "user": ("cli.commands.admin.users:user", "People."),
        "service": ("cli.commands.admin.services:service", "Logins of programs."),
        "role": ("cli.commands.admin.users:role", "What people may do, and where."),
        "permissions": ("cli.commands.admin.oversight:permissions", "What each role may do, and which route needs it."),
        "token": ("cli.commands.admin.tokens:token", "Tokens of people and services."),
    },
    "Machines": {
        "cluster": ("cli.commands.admin.clusters:cluster", "Places where jobs run."),
        "node": ("cli.commands.admin.clusters:node", "Machines of clusters."),
        "reservation": ("cli.commands.admin.calendar:reservation", "What is kept for whom, and when."),
        "flavor": ("cli.commands.admin.fleet:flavor", "Kinds of accelerators."),
        "rate": ("cli.commands.admin.fleet:rate", "What an hour of a flavor costs, from when."),
    },
    "Shares": {
        "quota": ("cli.commands.admin.shares:quota", "How much of a flavor an account may hold."),
        "limit": ("cli.commands.admin.shares:limit", "How many jobs an account may have, and how large."),
        "policy": ("cli.commands.admin.policies:policy", "The rules of the planner."),
        "gate": ("cli.commands.admin.gates:gate", "What must be given before jobs run, and where."),
        "terms": ("cli.commands.admin.gates:terms", "The terms of use, by version."),
    },
    "Trust": {
        "act": ("cli.commands.admin.oversight:act", "Act on behalf of a user, with a reason, for a while."),
        "approval": ("cli.commands.admin.approvals:approval", "What waits for a second person, and what needs one."),
        "audit": ("cli.commands.admin.audit:audit", "Who did what; proofs that nothing was altered."),
        "hold": ("cli.commands.admin.privacy:hold", "Legal holds: what is neither erased nor removed."),
        "person": ("cli.commands.admin.privacy:person", "Data about a person: give it out, correct it, erase it."),
        "personal-data": ("cli.commands.admin.privacy:personal_data", "What the centre keeps about people, and why."),
        "retention": ("cli.commands.admin.privacy:retention", "How long data about people is kept."),
        "xroad": ("cli.commands.admin.xroad:xroad", "Which systems of other governments may ask what."),
    },
    "Beginning": {
        "import": ("cli.commands.admin.imports:import_", "Bring tenants, projects, budgets and past use along."),
    },
    "Money": {
        "funder": ("cli.commands.admin.budgets:funder", "Who pays."),
        "grant": ("cli.commands.admin.budgets:grant", "What a funder pays, between two dates."),
        "price": ("cli.commands.admin.budgets:price", "What an SU costs in money, from when."),
        "allocation": ("cli.commands.admin.allocations:allocation", "What a project may spend, between two dates."),
        "refund": ("cli.commands.admin.charging:refund", "Give back what an attempt cost."),
        "adjust": ("cli.commands.admin.charging:adjust", "Correct what was charged."),
        "correction": ("cli.commands.admin.charging:correction", "What was given back and corrected."),
        "period": ("cli.commands.admin.charging:period", "Months that are closed."),
    },
}
