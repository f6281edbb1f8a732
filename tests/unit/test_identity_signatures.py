"""Signatures and one-time passwords, by the examples of who specified them."""

from __future__ import annotations

import base64
import hashlib

import pytest

from pilvi.access_rules import AccessRule, permitted
from pilvi.faults import BadRequest
from pilvi.identity import ec2_signature, oauth_signature, totp, wire
from pilvi.identity.oauth_signature import SignedRequest

# RFC 5849, 1.2: the request for a photo.
PHOTO = SignedRequest(
    "GET",
    "http://photos.example.net/photos",
    "file=vacation.jpg&size=original",
    'OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="nnch734d00sl2jdk", '
    'oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131202", oauth_nonce="chapoH", '
    'oauth_signature="MdpQcU8iPSUjWoN%2FUDMsK2sui9I%3D"',
)


def oauth(request, secret="kd94hf93k423kf44", token_secret="pfkkdhi9sl3r4s00"):
    return oauth_signature.is_signed(request, oauth_signature.parameters(request), secret, token_secret)


def test_oauth():
    assert oauth(PHOTO)
    assert oauth(PHOTO._replace(url="HTTP://Photos.example.net:80/photos"))
    for changed in (
        PHOTO._replace(method="POST"),
        PHOTO._replace(url="http://photos.example.net/photo"),
        PHOTO._replace(url="https://photos.example.net/photos"),
        PHOTO._replace(query="file=vacation.jpg"),
        PHOTO._replace(authorization=PHOTO.authorization.replace("chapoH", "chapoh")),
    ):
        assert not oauth(changed), changed
    assert not oauth(PHOTO, secret="other")
    assert not oauth(PHOTO, token_secret="")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic abc",
        "OAuth",
        "OAuth oauth_nonce",
        PHOTO.authorization + ', oauth_nonce="again"',
        PHOTO.authorization.replace("HMAC-SHA1", "PLAINTEXT"),
        PHOTO.authorization.replace("137131202", "soon"),
        PHOTO.authorization + ', oauth_version="2.0"',
        PHOTO.authorization.replace("nnch734d00sl2jdk", "%00"),
        PHOTO.authorization.replace("137131202", ""),
        PHOTO.authorization.replace("oauth_consumer_key", "consumer"),
    ],
)
def test_what_is_no_oauth(authorization):
    with pytest.raises(BadRequest):
        oauth_signature.parameters(PHOTO._replace(authorization=authorization))


# RFC 6238, appendix B, of whose eight digits the last six count.
@pytest.mark.parametrize(
    ("moment", "code"),
    [(1111111111, "050471"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_one_time_passwords(moment, code):
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert totp.matches(code, secret, moment)
    assert totp.matches(code, secret.lower().rstrip("="), moment + totp.STEP), "the one before is good still"
    assert not totp.matches(code, secret, moment + 2 * totp.STEP)
    assert not totp.matches(code, secret, moment - totp.STEP)
    for wrong in ("", "28708", "éééééé", "000000"):
        assert not totp.matches(wrong, secret, moment)
    assert not totp.matches(code, "not base32!", moment)


# Of Amazon's documentation, as is what follows; the older examples have another secret than the newer.
SECRET, OLD_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def version_2(**changes):
    values = {
        "access": "AKIAIOSFODNN7EXAMPLE",
        "signature": "i91nKc4PWAt0JJIdXwz9HxZCJDdiy6cf/Mj6vPxyYIs=",
        "verb": "GET",
        "host": "elasticmapreduce.amazonaws.com",
        "path": "/",
        "params": {
            "AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE",
            "Action": "DescribeJobFlows",
            "SignatureMethod": "HmacSHA256",
            "SignatureVersion": "2",
            "Timestamp": "2011-10-03T15:19:30",
            "Version": "2009-03-31",
        },
    }
    return wire.Ec2Signed(**{**values, **changes})


def version_4(**changes):
    values = {
        "access": "AKIDEXAMPLE",
        "signature": "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        "verb": "GET",
        "host": "iam.amazonaws.com",
        "path": "/",
        "params": {"Action": "ListUsers", "Version": "2010-05-08"},
        "headers": {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Host": "iam.amazonaws.com",
            "X-Amz-Date": "20150830T123600Z",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
            "SignedHeaders=content-type;host;x-amz-date, Signature=5d67",
        },
        "body_hash": hashlib.sha256(b"").hexdigest(),
    }
    return wire.Ec2Signed(**{**values, **changes})


@pytest.mark.parametrize(
    ("make", "secret"), [(version_2, OLD_SECRET), (version_4, SECRET)], ids=["2", "4"]
)
def test_ec2(make, secret):
    assert ec2_signature.ec2_matches(make(), secret)
    assert ec2_signature.ec2_matches(make(host=make().host + ":8773"), secret), "signed without its port"
    for changes in (
        {"verb": "PUT"},
        {"host": "elsewhere"},
        {"path": "/x"},
        {"params": {**make().params, "Action": "DeleteUser"}},
        {"signature": "x"},
    ):
        assert not ec2_signature.ec2_matches(make(**changes), secret), changes
    assert not ec2_signature.ec2_matches(make(), "other")


def test_when_a_request_was_signed():
    assert ec2_signature.moment_of_request(version_2()) == 1317655170 * 1_000_000
    assert ec2_signature.moment_of_request(version_4()) == 1440938160 * 1_000_000
    assert ec2_signature.moment_of_request(version_2(params={})) is None
    with pytest.raises(BadRequest):
        ec2_signature.moment_of_request(version_2(params={"Timestamp": "soon"}))


def test_s3_by_the_text_that_was_signed():
    # Amazon's examples of the REST API's older signature, and of version 4 ("GET Object").
    old = "GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg"
    new = (
        "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"
        "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972"
    )
    for text, signature in (
        (old, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g="),
        (new, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ):
        token = base64.urlsafe_b64encode(text.encode()).decode()
        shown = wire.S3Signed(access="AKIAIOSFODNN7EXAMPLE", signature=signature, token=token)
        assert ec2_signature.s3_matches(shown, OLD_SECRET)
        assert not ec2_signature.s3_matches(shown, "other")
    with pytest.raises(BadRequest):
        ec2_signature.s3_matches(wire.S3Signed(access="a", signature="s", token="é"), OLD_SECRET)


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/v2.1/servers", "/compute/v2.1/servers", True),
        ("/v2.1/servers", "/compute/v2.1/servers/", True),
        ("/compute/v2.1/servers", "/compute/v2.1/servers", True),
        ("/v2.1/servers", "/compute/v2.1/servers/1", False),
        ("/v2.1/servers/*", "/compute/v2.1/servers/1", True),
        ("/v2.1/servers/*", "/compute/v2.1/servers", False),
        ("/v2.1/servers/*/ips", "/compute/v2.1/servers/1/ips", True),
        ("/v2.1/servers/*", "/compute/v2.1/servers/1/ips", False),
        ("/v2.1/servers/{server_id}/ips", "/compute/v2.1/servers/1/ips", True),
        ("/v2.1/**", "/compute/v2.1/servers/1/ips", True),
        ("/v2.1/**", "/compute/v2/servers", False),
        ("/v2.1/servers.*", "/compute/v2.1/servers", False),
    ],
)
def test_paths_of_access_rules(pattern, path, fits):
    rules = [AccessRule("1", "compute", "GET", pattern)]
    assert permitted(rules, "compute", "/compute", "GET", path) is fits
    assert not permitted(rules, "compute", "/compute", "POST", path)
    assert not permitted(rules, "network", "/compute", "GET", path)


def test_a_service_of_several_types():
    rules = [AccessRule("1", "volumev3", "GET", "/v3/**")]
    assert permitted(rules, "volume", "/volume", "GET", "/volume/v3/p/volumes")
