"""Every subcommand of `openstack` for identity, in an order in which each finds what it needs."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.commands.shell import Shell


def identity(run: Shell, folder: Path) -> None:
    directory(run)
    roles(run)
    catalogue(run, folder)
    delegation(run, folder)
    limits(run)
    federation(run, folder)
    for line in ("group delete --domain lab staff", "user delete --domain lab ada", "project delete --domain lab physics",
                 "domain set --disable lab", "domain delete lab"):
        run(line)


def directory(run: Shell) -> None:
    run("domain create --description 'A lab' lab")
    run("domain list --name lab")
    run("domain set --description 'The lab' lab")
    run("domain show lab")
    run("project create --domain lab --description Physics --tag x --property room=12 physics")
    run("project create --domain lab --parent physics optics")
    run("project list --domain lab --long --tags x")
    run("project set --domain lab --name physics --tag y --property room=13 physics")
    run("project show --domain lab --children physics")
    run("project delete --domain lab optics")
    run("user create --domain lab --project physics --project-domain lab --password secret1 --email a@lab.invalid ada")
    run("user list --domain lab --long")
    run("user set --domain lab --description Countess --ignore-lockout-failure-attempts ada")
    run("user show --domain lab ada")
    run("group create --domain lab --description Staff staff")
    run("group list --domain lab --long")
    run("group set --domain lab --description 'All staff' staff")
    run("group show --domain lab staff")
    run("group add user --group-domain lab --user-domain lab staff ada")
    run("group contains user --group-domain lab --user-domain lab staff ada")
    run("group remove user --group-domain lab --user-domain lab staff ada")


def roles(run: Shell) -> None:
    run("role create --description Watches watcher")
    run("role list")
    run("role set --description 'Looks on' watcher")
    run("role show watcher")
    run("role add --project physics --project-domain lab --user ada --user-domain lab member")
    run("role add --domain lab --group staff --group-domain lab --inherited reader")
    run("role add --system all --user ada --user-domain lab reader")
    run("role assignment list --names --user ada --user-domain lab --effective")
    run("role assignment list --system all --names")
    run("role remove --system all --user ada --user-domain lab reader")
    run("role remove --domain lab --group staff --group-domain lab --inherited reader")
    run("implied role create --implied-role watcher member")
    run("implied role list")
    run("implied role delete --implied-role watcher member")
    run("role delete watcher")


def catalogue(run: Shell, folder: Path) -> None:
    run("catalog list")
    run("catalog show compute")
    run("region create --description North north")
    run("region list")
    run("region set --description 'Far north' north")
    run("region show north")
    run("service create --name almanac --description Tides almanac")
    run("service list --long")
    run("service set --description 'Tides and moons' almanac")
    run("service show almanac")
    endpoint = run.json("endpoint create --region north almanac public http://127.0.0.1/almanac")["id"]
    run("endpoint list --service almanac")
    run(f"endpoint set --url http://127.0.0.1/almanac/v2 {endpoint}")
    run(f"endpoint show {endpoint}")
    run(f"endpoint add project --project-domain lab {endpoint} physics")
    run(f"endpoint remove project --project-domain lab {endpoint} physics")
    lab = run.json("domain show lab")["id"]  # the client takes a domain's id only, in what follows
    (folder / "filters.json").write_text('{"interface": "public"}')
    group = run.json(f"endpoint group create --description Public public {folder}/filters.json")["id"]
    run("endpoint group list")
    run(f"endpoint group set --name public-ones {group}")
    run(f"endpoint group show {group}")
    run(f"endpoint group add project --project-domain {lab} {group} physics")
    run(f"endpoint group remove project --project-domain {lab} {group} physics")
    run(f"endpoint group delete {group}")
    run(f"endpoint delete {endpoint}")
    run("service delete almanac")
    run("region delete north")
    (folder / "policy.json").write_text("{}")
    policy = run.json(f"policy create --type application/json {folder}/policy.json")["id"]
    run("policy list")
    run(f"policy set --type text/plain {policy}")
    run(f"policy show {policy}")
    run(f"policy delete {policy}")


def delegation(run: Shell, folder: Path) -> None:
    token = run.json("token issue", user="pilvi")["id"]
    run(f"token revoke {token}")
    (folder / "rules.json").write_text('[{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]')
    run(f"application credential create --role member --access-rules {folder}/rules.json robot", user="pilvi")
    run("application credential list", user="pilvi")
    run("application credential show robot", user="pilvi")
    rules = run.json("access rule list", user="pilvi")
    rule = next(iter(rules), "nothing")
    run(f"access rule show {rule}", user="pilvi")
    run("application credential delete robot", user="pilvi")
    run(f"access rule delete {rule}", user="pilvi")
    # A member may not look names up.
    pilvi, admin = (run.json(f"user show {name}")["id"] for name in ("pilvi", "admin"))
    project = run.json("project show pilvi")["id"]
    trust = run.json(f"trust create --project {project} --role member --impersonate {pilvi} {admin}", user="pilvi")["id"]
    run("trust list --auth-user", user="pilvi")
    run(f"trust show {trust}", user="pilvi")
    run(f"trust delete {trust}", user="pilvi")
    access = run.json("ec2 credentials create", user="pilvi")["access"]
    run("ec2 credentials list", user="pilvi")
    run(f"ec2 credentials show {access}", user="pilvi")
    run(f"ec2 credentials delete {access}", user="pilvi")
    credential = run.json("credential create --type cert pilvi 'a certificate'")["id"]
    run("credential list --type cert")
    run(f"credential set --user pilvi --type cert --data 'another one' {credential}")
    run(f"credential show {credential}")
    run(f"credential delete {credential}")
    consumer = run.json("consumer create --description Portal")
    run("consumer list")
    run(f"consumer set --description 'The portal' {consumer['id']}")
    run(f"consumer show {consumer['id']}")
    key = f"--consumer-key {consumer['id']} --consumer-secret {consumer['secret']}"
    request = run.json(f"request token create {key} --project admin")
    pin = run.json(f"request token authorize --request-key {request['id']} --role member")["oauth_verifier"]
    run(f"access token create {key} --request-key {request['id']} --request-secret {request['secret']} --verifier {pin}")
    run(f"consumer delete {consumer['id']}")
    run("user create --password Before1 grace")
    run("role add --project pilvi --user grace member")
    as_grace = "--os-username grace --os-project-name pilvi --os-password Before1"
    run(f"{as_grace} user password set --original-password Before1 --password After1", user="pilvi")
    run("user delete grace")


def limits(run: Shell) -> None:
    registered = run.json("registered limit create --service nova --default-limit 10 --region RegionOne shelves")["id"]
    run("registered limit list")
    run(f"registered limit set --default-limit 12 {registered}")
    run(f"registered limit show {registered}")
    limit = run.json("limit create --project pilvi --service nova --region RegionOne --resource-limit 5 shelves")["id"]
    run("limit list --project pilvi")
    run(f"limit set --resource-limit 6 {limit}")
    run(f"limit show {limit}")
    run(f"limit delete {limit}")
    run(f"registered limit delete {registered}")


def federation(run: Shell, folder: Path) -> None:
    (folder / "mapping.json").write_text(
        '[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "REMOTE_USER"}]}]')
    run(f"mapping create --rules {folder}/mapping.json people")
    run("mapping list")
    run(f"mapping set --rules {folder}/mapping.json people")
    run("mapping show people")
    run("identity provider create --remote-id https://idp.invalid --description Campus campus")
    run("identity provider list")
    run("identity provider set --description 'The campus' campus")
    run("identity provider show campus")
    run("federation protocol create --identity-provider campus --mapping people saml2")
    run("federation protocol list --identity-provider campus")
    run.refused("federation protocol set --identity-provider campus --mapping people saml2", "",
                "the cloud does it, and the client then ends with status 1 by a mistake of its own")
    run("federation protocol show --identity-provider campus saml2")
    run("federation protocol show --identity-provider campus saml2")
    run("federation domain list")
    run("federation project list")
    run("federation protocol delete --identity-provider campus saml2")
    run("identity provider delete campus")
    run("mapping delete people")
    run("service provider create --auth-url https://sp.invalid/auth --service-provider-url https://sp.invalid/sp other")
    run("service provider list")
    run("service provider set --description 'Another cloud' other")
    run("service provider show other")
    run("service provider delete other")
